"""What meetings keep of a person, kind by kind: which rows, whose they are, and which of their columns are shown.

The table in docs/accounts.md says the same to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from services.meeting.breakouts.tables import SeatRow
from services.meeting.events.tables import WebhookRow
from services.meeting.planning.tables import FeedRow, InvitationRow, ScheduleRow
from services.meeting.room.tables import ChatRow, PollRow, VoteRow
from services.meeting.tables import BanRow, MeetingRow, ParticipantRow, SegmentRow


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of one kind: `query` gives them, `order` is unique among them, `shown` are the columns that are told."""

    name: str
    query: Select[Any]
    order: tuple[Any, ...]
    shown: tuple[Any, ...]


def kinds_of(user_id: UUID, verified_email: str) -> Sequence[Kind]:
    """List what is kept of an account, and of the address that it has proven, if any."""
    visited = select(ParticipantRow.meeting_id).where(ParticipantRow.user_id == user_id)
    mine = select(ParticipantRow.id).where(ParticipantRow.user_id == user_id)
    wrote = ChatRow.meeting_id.in_(visited) & (ChatRow.sender_user_id == user_id)
    spoke = SegmentRow.meeting_id.in_(visited) & SegmentRow.participant_id.in_(mine)
    asked = PollRow.meeting_id.in_(visited) & (PollRow.creator_user_id == user_id)
    voted = PollRow.meeting_id.in_(visited) & (VoteRow.user_id == user_id)
    hosts = MeetingRow.host_id == user_id
    return (
        _in_meetings(
            "participations", ParticipantRow, ParticipantRow.user_id == user_id, _PRESENCE
        ),
        _in_meetings("chat_messages", ChatRow, wrote, _WRITTEN),
        _in_meetings("transcript_segments", SegmentRow, spoke, _SPOKEN),
        _in_meetings("polls", PollRow, asked, _ASKED),
        _votes(voted),
        _in_meetings("schedules", ScheduleRow, hosts, _PLANNED, ScheduleRow.meeting_id),
        _in_meetings("invitations_sent", InvitationRow, hosts, (InvitationRow.email, *_INVITED)),
        _in_meetings(
            "invitations_received",
            InvitationRow,
            (func.lower(InvitationRow.email) == verified_email.lower()) & (verified_email != ""),
            _INVITED,
        ),
        _in_meetings(
            "breakout_seats",
            SeatRow,
            SeatRow.meeting_id.in_(visited) & (SeatRow.user_id == user_id),
            (SeatRow.breakout_id, SeatRow.move_time),
            SeatRow.meeting_id,
        ),
        _in_meetings(
            "bans", BanRow, BanRow.user_id == user_id, (BanRow.create_time,), BanRow.meeting_id
        ),
        _own("webhooks", WebhookRow, WebhookRow.owner_id == user_id, _HOOKED, WebhookRow.id),
        _own(
            "calendar_feeds",
            FeedRow,
            FeedRow.user_id == user_id,
            (FeedRow.create_time,),
            FeedRow.user_id,
        ),
    )


_PRESENCE = (
    ParticipantRow.id,
    ParticipantRow.display_name,
    ParticipantRow.role,
    ParticipantRow.state,
    ParticipantRow.join_time,
    ParticipantRow.admit_time,
    ParticipantRow.connect_time,
    ParticipantRow.leave_time,
    ParticipantRow.is_removed,
    ParticipantRow.consent,
    ParticipantRow.grants,
)
_WRITTEN = (
    ChatRow.id,
    ChatRow.sender_display_name,
    ChatRow.recipient_id,
    ChatRow.text,
    ChatRow.reply_to,
    ChatRow.media,
    ChatRow.create_time,
    ChatRow.edit_time,
    ChatRow.delete_time,
)
_SPOKEN = (
    SegmentRow.id,
    SegmentRow.display_name,
    SegmentRow.text,
    SegmentRow.language_code,
    SegmentRow.start_time,
    SegmentRow.end_time,
    SegmentRow.confidence,
)
_ASKED = (
    PollRow.id,
    PollRow.question,
    PollRow.choices,
    PollRow.create_time,
    PollRow.close_time,
)
_PLANNED = (
    ScheduleRow.begin,
    ScheduleRow.time_zone,
    ScheduleRow.duration_seconds,
    ScheduleRow.recurrence,
    ScheduleRow.exceptions,
    ScheduleRow.update_time,
)
_INVITED = (
    InvitationRow.id,
    InvitationRow.language,
    InvitationRow.words,
    InvitationRow.state,
    InvitationRow.create_time,
)
_HOOKED = (
    WebhookRow.id,
    WebhookRow.uri,
    WebhookRow.types,
    WebhookRow.create_time,
    WebhookRow.pause_time,
)


def _in_meetings(
    name: str, row: Any, where: ColumnElement[bool], shown: tuple[Any, ...], key: Any = None
) -> Kind:
    """Rows that belong to meetings, each shown with its meeting's code."""
    query = select(MeetingRow).join(row, row.meeting_id == MeetingRow.id).where(where)
    order = (MeetingRow.id,) if key is not None else (MeetingRow.id, row.id)
    return Kind(name, query, order, (MeetingRow.code.label("meeting"), *shown))


def _votes(where: ColumnElement[bool]) -> Kind:
    query = select(MeetingRow).join(PollRow, PollRow.meeting_id == MeetingRow.id)
    query = query.join(VoteRow, VoteRow.poll_id == PollRow.id).where(where)
    shown = (MeetingRow.code.label("meeting"), PollRow.id, PollRow.question, VoteRow.choices)
    return Kind("poll_votes", query, (MeetingRow.id, PollRow.id), shown)


def _own(name: str, row: Any, where: ColumnElement[bool], shown: tuple[Any, ...], key: Any) -> Kind:
    """Rows that belong to the account alone."""
    return Kind(name, select(row).where(where), (key,), shown)


__all__ = ["Kind", "kinds_of"]
