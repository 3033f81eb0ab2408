"""Meetings and participants as the contract has them, and what it calls them by."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from parley.meeting.v1 import meeting_pb2

from chassis import paging
from chassis.auth import user_principal
from services.meeting.domain import (
    Meeting,
    MeetingState,
    Participant,
    ParticipantNotFound,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.grants import Grants
from services.meeting.roles import granted

STATES = {
    MeetingState.SCHEDULED: meeting_pb2.MEETING_STATE_SCHEDULED,
    MeetingState.ACTIVE: meeting_pb2.MEETING_STATE_ACTIVE,
    MeetingState.ENDED: meeting_pb2.MEETING_STATE_ENDED,
    MeetingState.CANCELLED: meeting_pb2.MEETING_STATE_CANCELLED,
}
ROLES = {
    ParticipantRole.HOST: meeting_pb2.PARTICIPANT_ROLE_HOST,
    ParticipantRole.COHOST: meeting_pb2.PARTICIPANT_ROLE_COHOST,
    ParticipantRole.PRESENTER: meeting_pb2.PARTICIPANT_ROLE_PRESENTER,
    ParticipantRole.PARTICIPANT: meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT,
}
PARTICIPANT_STATES = {
    ParticipantState.JOINING: meeting_pb2.PARTICIPANT_STATE_JOINING,
    ParticipantState.CONNECTED: meeting_pb2.PARTICIPANT_STATE_CONNECTED,
    ParticipantState.LEFT: meeting_pb2.PARTICIPANT_STATE_LEFT,
    ParticipantState.WAITING: meeting_pb2.PARTICIPANT_STATE_WAITING,
    ParticipantState.DENIED: meeting_pb2.PARTICIPANT_STATE_DENIED,
}


def meeting_proto(meeting: Meeting, count: int, viewer: UUID | None) -> meeting_pb2.Meeting:
    """Show a meeting; its passcode only to the host."""
    shown = meeting_pb2.Meeting(
        name=meeting.name,
        title=meeting.title,
        description=meeting.description,
        host=f"users/{meeting.host_id}",
        state=STATES[meeting.state],
        passcode=meeting.passcode if viewer == meeting.host_id else "",
        passcode_required=bool(meeting.passcode),
        capacity=meeting.capacity,
        locked=meeting.locked,
        participant_count=count,
        etag=meeting.etag,
        voice_activity=meeting.voice_activity,
        end_to_end_encrypted=meeting.end_to_end_encrypted,
        breakout_of=f"meetings/{meeting.parent_code}" if meeting.parent_code else "",
        breakouts_open=meeting.breakouts_open,
    )
    shown.create_time.FromDatetime(meeting.create_time)
    shown.update_time.FromDatetime(meeting.update_time)
    if meeting.start_time is not None:
        shown.start_time.FromDatetime(meeting.start_time)
    if meeting.end_time is not None:
        shown.end_time.FromDatetime(meeting.end_time)
    return shown


def participant_proto(participant: Participant, meeting: Meeting) -> meeting_pb2.Participant:
    """Show a participant, with all that it may do."""
    shown = meeting_pb2.Participant(
        name=participant.name,
        user=f"users/{participant.user_id}",
        display_name=participant.display_name,
        role=ROLES[participant.role],
        state=PARTICIPANT_STATES[participant.state],
        grants=grants_proto(granted(participant, meeting)),
    )
    shown.join_time.FromDatetime(participant.join_time)
    if participant.leave_time is not None:
        shown.leave_time.FromDatetime(participant.leave_time)
    return shown


def grants_proto(grants: Grants) -> meeting_pb2.ParticipantGrants:
    """Show what somebody may do."""
    return meeting_pb2.ParticipantGrants(**asdict(grants))


def grants_from(shown: meeting_pb2.ParticipantGrants) -> Grants:
    """Read what somebody is to be allowed."""
    return Grants(**{field.name: getattr(shown, field.name) for field in shown.DESCRIPTOR.fields})


def caller() -> UUID:
    """Get the id of the user who calls."""
    return UUID(user_principal().user_id)


def code_of(name: str) -> str:
    """Cut the code out of the name of a meeting, or of what is in one."""
    return name.split("/")[1] if "/" in name else ""


def participant_id_of(name: str) -> UUID:
    """Cut the id out of a participant's name. Raises ParticipantNotFound."""
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise ParticipantNotFound(participant=name) from None


def token_of(time: datetime, identifier: UUID) -> str:
    """Make a page token of the last row's sort key."""
    return paging.encode((time.isoformat(), str(identifier)))


__all__ = [
    "PARTICIPANT_STATES",
    "ROLES",
    "STATES",
    "caller",
    "code_of",
    "grants_from",
    "grants_proto",
    "meeting_proto",
    "participant_id_of",
    "participant_proto",
    "token_of",
]
