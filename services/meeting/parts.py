"""What the meeting service is made of: its servicers, and what goes on beside them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from parley.meeting.v1 import (
    breakout_pb2_grpc,
    chat_pb2_grpc,
    meeting_pb2_grpc,
    notes_pb2_grpc,
    participant_pb2_grpc,
    person_pb2_grpc,
    poll_pb2_grpc,
    report_pb2_grpc,
    schedule_pb2_grpc,
    settings_pb2_grpc,
    transcript_pb2_grpc,
    webhook_pb2_grpc,
)

from chassis import seals
from chassis.auth import ServiceIdentity
from chassis.clock import Clock
from chassis.db import Database
from chassis.idempotency import Answers
from services.meeting.breakouts.servicer import BreakoutServicer
from services.meeting.breakouts.store import BreakoutStore
from services.meeting.breakouts.watch import BreakoutWatch
from services.meeting.call_peers import CallPeers
from services.meeting.config import Config
from services.meeting.desk import Desk
from services.meeting.events.courier import Courier
from services.meeting.events.delivery_store import DeliveryStore
from services.meeting.events.log import EventLog
from services.meeting.events.posting import Poster
from services.meeting.events.watch import EventWatch
from services.meeting.events.webhook import Policy
from services.meeting.events.webhook_servicer import WebhookServicer
from services.meeting.events.webhook_store import WebhookStore
from services.meeting.gathering_store import GatheringStore
from services.meeting.joining.admission import Admissions
from services.meeting.joining.lobby_watch import LobbyWatch
from services.meeting.joining.tickets import Tickets
from services.meeting.joining.turn import Turn
from services.meeting.joining.vestibule import Vestibule
from services.meeting.notices import Notices
from services.meeting.participant_servicer import ParticipantServicer
from services.meeting.peers import Peers
from services.meeting.planning.invitation_store import InvitationStore
from services.meeting.planning.mailroom import Mailroom
from services.meeting.planning.servicer import ScheduleServicer
from services.meeting.planning.store import ScheduleStore
from services.meeting.presence_servicer import PresenceServicer
from services.meeting.records.person_servicer import PersonServicer
from services.meeting.records.person_store import PersonStore
from services.meeting.records.report_servicer import ReportServicer
from services.meeting.records.report_store import ReportStore
from services.meeting.records.retention import Retention
from services.meeting.room.chat_servicer import ChatServicer, SharingServicer
from services.meeting.room.chat_store import ChatStore
from services.meeting.room.events import RoomEvents
from services.meeting.room.herald import Herald
from services.meeting.room.notes_scribe import Scribe
from services.meeting.room.notes_servicer import NotesServicer
from services.meeting.room.notes_store import NotesStore
from services.meeting.room.poll_servicer import PollServicer
from services.meeting.room.poll_store import PollStore
from services.meeting.servicer import MeetingServicer
from services.meeting.settings_servicer import SettingsServicer
from services.meeting.store import Store
from services.meeting.telling import Telling
from services.meeting.transcripts.caption_servicer import CaptionServicer
from services.meeting.transcripts.news import TranscriptNews
from services.meeting.transcripts.recap import Recaps
from services.meeting.transcripts.servicer import TranscriptServicer
from services.meeting.transcripts.store import TranscriptStore
from services.meeting.transcripts.summary_store import SummaryStore

SEALED = "webhook secrets"


@dataclass(frozen=True, slots=True)
class Parts:
    """Servicers by their generated `add_…_to_server`, and what runs for ever beside them."""

    servicers: Mapping[Any, object]
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]]


def put_together(
    config: Config,
    clock: Clock,
    identity: ServiceIdentity,
    database: Database,
    store: Store,
    mesh: grpc.aio.Channel,
) -> Parts:
    """Put the service together."""
    peers = Peers(mesh)
    telling = Telling(store, peers)
    tickets = Tickets(identity, timedelta(seconds=config.ticket_seconds))
    transcripts, summaries = TranscriptStore(database), SummaryStore(database)
    recaps = Recaps(transcripts, summaries, peers, clock)
    signaling_url = f"ws{config.public_url.removeprefix('http')}/ws/signaling"
    admissions = Admissions(tickets, clock, signaling_url, config.ice_urls, _turn(config))
    gatherings = GatheringStore(store, database, clock, tickets.lifetime)
    call = CallPeers(mesh)
    notices = Notices(store, gatherings, call, clock)
    desk = Desk(gatherings, notices, telling, peers, clock)
    watch = LobbyWatch(config.database_url)
    vestibule = Vestibule(store, gatherings, admissions, watch, clock)
    invitations = InvitationStore(database)
    deliver = config.delivery("invitations-")
    mailroom = Mailroom(invitations, deliver, config.mail_from, config.public_url, clock)
    meetings = MeetingServicer(store, desk, admissions, peers, mailroom, clock)
    answers = Answers(database, seals.seal(config.service_key, "answers"))
    planned = ScheduleStore(store, database)
    schedules = ScheduleServicer(
        store, planned, invitations, mailroom, answers, config.public_url, clock
    )
    settings = SettingsServicer(store, desk, peers, emotions_allowed=config.emotions)
    participants = ParticipantServicer(
        store, desk, vestibule, call, telling, emotions_allowed=config.emotions
    )
    captions = CaptionServicer(store, transcripts, clock)
    records = TranscriptServicer(store, transcripts, summaries, recaps, clock)
    chats, polls = ChatStore(database), PollStore(database)
    notes, scribe = NotesStore(database), Scribe()
    herald = Herald(RoomEvents(database), peers, clock)
    events, policy = EventLog(database), Policy(config.webhook_private, config.webhook_http)
    seal = seals.seal(config.service_key, SEALED)
    poll, deliveries = config.event_poll_seconds, DeliveryStore(database)
    courier = Courier(events, deliveries, Poster(policy), seal, clock, poll)
    event_watch = EventWatch(events, poll)
    webhooks = WebhookServicer(store, WebhookStore(database, seal), event_watch, policy, clock)
    breakouts = BreakoutStore(database)
    servicers = {
        breakout_pb2_grpc.add_BreakoutServiceServicer_to_server: BreakoutServicer(
            store, breakouts, herald, clock
        ),
        chat_pb2_grpc.add_ChatServiceServicer_to_server: ChatServicer(
            store, chats, herald, peers, clock
        ),
        notes_pb2_grpc.add_NotesServiceServicer_to_server: NotesServicer(
            store, notes, scribe, herald, clock
        ),
        report_pb2_grpc.add_ReportServiceServicer_to_server: ReportServicer(
            store, ReportStore(database), notes, clock
        ),
        chat_pb2_grpc.add_SharingServiceServicer_to_server: SharingServicer(store, chats),
        poll_pb2_grpc.add_PollServiceServicer_to_server: PollServicer(store, polls, herald, clock),
        meeting_pb2_grpc.add_MeetingServiceServicer_to_server: meetings,
        schedule_pb2_grpc.add_ScheduleServiceServicer_to_server: schedules,
        meeting_pb2_grpc.add_PresenceServiceServicer_to_server: PresenceServicer(
            store, breakouts, desk
        ),
        settings_pb2_grpc.add_SettingsServiceServicer_to_server: settings,
        participant_pb2_grpc.add_ParticipantServiceServicer_to_server: participants,
        person_pb2_grpc.add_PersonServiceServicer_to_server: PersonServicer(
            PersonStore(database), clock
        ),
        transcript_pb2_grpc.add_CaptionServiceServicer_to_server: captions,
        transcript_pb2_grpc.add_TranscriptServiceServicer_to_server: records,
        webhook_pb2_grpc.add_WebhookServiceServicer_to_server: webhooks,
    }
    retention = Retention(transcripts, chats, polls, answers, clock)
    background = (
        telling.run,
        recaps.run,
        retention.run,
        notices.run,
        watch.run,
        desk.run,
        herald.run,
        scribe.run,
        TranscriptNews(database, clock, poll).run,
        courier.run,
        event_watch.run,
        mailroom.run,
        BreakoutWatch(breakouts, desk, peers, herald, clock).run,
    )
    return Parts(servicers, background)


def _turn(config: Config) -> Turn | None:
    if not config.turn_urls or not config.turn_secret:
        return None
    return Turn(config.turn_urls, config.turn_secret, timedelta(seconds=config.turn_seconds))


__all__ = ["SEALED", "Parts", "put_together"]
