"""The meeting service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from parley.meeting.v1 import (
    meeting_pb2_grpc,
    participant_pb2_grpc,
    settings_pb2_grpc,
    transcript_pb2_grpc,
)

from chassis import channels, db, reads, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.clock import Clock, SystemClock
from chassis.keys import published_keys
from chassis.stopping import stop
from services.meeting.caption_servicer import CaptionServicer
from services.meeting.config import Config
from services.meeting.participant_servicer import ParticipantServicer
from services.meeting.peers import Peers
from services.meeting.servicer import MeetingServicer, PresenceServicer
from services.meeting.settings_servicer import SettingsServicer
from services.meeting.store import Store
from services.meeting.telling import Telling
from services.meeting.tickets import Tickets
from services.meeting.transcript_servicer import TranscriptServicer
from services.meeting.transcript_store import TranscriptStore
from services.meeting.turn import Turn

MIGRATIONS = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the meeting service until the block ends."""
    clock = clock or SystemClock()
    identity = ServiceIdentity.load(config, "meeting")
    async with (
        db.connected(config.database_url, MIGRATIONS) as database,
        reads.connected(config.database_url) as reading,
        channels.mesh(config, identity) as mesh,
    ):
        store, peers = Store(database, reading), Peers(mesh)
        telling = Telling(store, peers)
        tickets = Tickets(identity, timedelta(seconds=config.ticket_seconds))
        signaling_url = f"ws{config.public_url.removeprefix('http')}/ws/signaling"
        meetings = MeetingServicer(
            store, peers, tickets, clock, signaling_url, config.ice_urls, _turn(config), telling
        )
        settings = SettingsServicer(store, peers, telling, clock, emotions_allowed=config.emotions)
        participants = ParticipantServicer(store, telling, clock, emotions_allowed=config.emotions)
        transcripts = TranscriptStore(database)
        captions = CaptionServicer(store, transcripts, clock)
        records = TranscriptServicer(store, transcripts, clock)
        servicers = {
            meeting_pb2_grpc.add_MeetingServiceServicer_to_server: meetings,
            meeting_pb2_grpc.add_PresenceServiceServicer_to_server: PresenceServicer(store, clock),
            settings_pb2_grpc.add_SettingsServiceServicer_to_server: settings,
            participant_pb2_grpc.add_ParticipantServiceServicer_to_server: participants,
            transcript_pb2_grpc.add_CaptionServiceServicer_to_server: captions,
            transcript_pb2_grpc.add_TranscriptServiceServicer_to_server: records,
        }
        verifier = UserTokenVerifier(published_keys(mesh))
        checks = [database.ping]
        async with (
            server.serving(config, "meeting", identity, verifier, servicers, checks) as it,
            asyncio.TaskGroup() as group,
        ):
            told = group.create_task(telling.run())
            try:
                yield it
            finally:
                await stop(told)


def _turn(config: Config) -> Turn | None:
    if not config.turn_urls or not config.turn_secret:
        return None
    return Turn(config.turn_urls, config.turn_secret, timedelta(seconds=config.turn_seconds))
