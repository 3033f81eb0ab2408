"""Requests for every row of the table of permissions: each can be made by whoever may not, and by whoever may, in order.

They name what there is only where the row is about that; else nobody and nothing, so that little changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from parley.meeting.v1 import (
    breakout_pb2,
    chat_pb2,
    meeting_pb2,
    participant_pb2,
    poll_pb2,
    report_pb2,
    schedule_pb2,
    settings_pb2,
    transcript_pb2,
)

from services.meeting.permissions import PERMISSIONS
from services.meeting.roles import Standing

NIL = "00000000-0000-4000-8000-000000000000"
MODULES = (
    meeting_pb2,
    participant_pb2,
    settings_pb2,
    chat_pb2,
    poll_pb2,
    report_pb2,
    schedule_pb2,
    transcript_pb2,
    breakout_pb2,
)
DENIALS = frozenset(
    {"NOT_HOST", "NOT_PARTICIPANT", "NOT_PRESENTER", "NOT_YOURS", "CHAT_NOT_ALLOWED"}
)
LASTING = ("JoinMeeting", "LeaveMeeting", "EndMeeting", "CancelMeeting", "AdmitAllParticipants")
"""These change who stands how: other tests have them, but for who may not."""
ROWS = [row for row in PERMISSIONS if not row.startswith("NotesService")]
"""What people call; notes are written by signaling for them."""
ROLES = {
    Standing.COHOST: meeting_pb2.PARTICIPANT_ROLE_COHOST,
    Standing.PRESENTER: meeting_pb2.PARTICIPANT_ROLE_PRESENTER,
}
VOTE = 0
"""What the poll was answered by, and is again."""


@dataclass(frozen=True)
class Ground:
    """A meeting where somebody outside the table, the presenter `author`, has written `message`, asked and answered `poll`."""

    meeting: str
    message: str
    poll: str
    author: str


def request(row: str, ground: Ground) -> Message:
    """Make the request of a row."""
    return message_of(method_of(row), _values(row, ground))


def message_of(method: str, values: dict[str, Any]) -> Message:
    """Make the request of `Service.Method`."""
    name = f"{method.partition('.')[2]}Request"
    kind: Any = next(getattr(module, name) for module in MODULES if hasattr(module, name))
    made: Message = kind(**values)
    return made


def method_of(row: str) -> str:
    """Cut out of a row what is called."""
    return row.partition("/")[0]


def is_lasting(row: str) -> bool:
    """Tell whether the call would change who stands how."""
    return row.partition(".")[2] in LASTING


def has_it(row: str, voters: int) -> bool:
    """Tell whether an answer has what its row is about; `voters` is how many the answer shows."""
    return not row.endswith("/voters") or voters > 0


def _values(row: str, ground: Ground) -> dict[str, Any]:
    meeting = ground.meeting
    if row in (special := _special(ground)):
        return special[row]
    service, name = method_of(row).split(".")
    extra: dict[str, dict[str, Any]] = {
        "SetParticipantRole": {"role": meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT},
        "SetParticipantGrants": {"grants": {"chat": True}},
        "MuteParticipant": {"target": participant_pb2.MUTE_TARGET_AUDIO},
        "MuteAllParticipants": {"target": participant_pb2.MUTE_TARGET_AUDIO},
        "AskToUnmute": {"target": participant_pb2.MUTE_TARGET_AUDIO},
        "SetConsent": {"consent": {}},
        "CatchUp": {"since": {"seconds": 1}},
    }
    if name.startswith("List") or "All" in name or name == "CloseBreakouts":
        return {"parent": meeting, **extra.get(name, {})}
    is_of_somebody = service == "ParticipantService" or name == "MoveParticipant"
    whose = f"{meeting}/participants/{NIL}" if is_of_somebody else meeting
    return {"name": whose, **extra.get(name, {})}


def _special(ground: Ground) -> dict[str, dict[str, Any]]:
    meeting = ground.meeting
    writing = {"parent": meeting, "chat_message": {"text": "Hello"}}
    poll = {"question": "Now?", "choices": [{"text": "Yes"}, {"text": "No"}]}
    nothing = f"{meeting}/chatMessages/{NIL}"
    summary, settings = f"{meeting}/summary", f"{meeting}/settings"
    return {
        "BreakoutService.OpenBreakouts": {
            "parent": meeting,
            "breakouts": [{"title": "x", "participants": [f"{meeting}/participants/{NIL}"]}],
        },
        "BreakoutService.MoveParticipant/others": {"name": ground.author},
        "MeetingService.UpdateMeeting": {"meeting": {"name": meeting, "title": "x", "etag": "old"}},
        "SettingsService.GetSettings": {"name": settings},
        "SettingsService.UpdateSettings": {
            "settings": {"name": settings, "lobby": True, "etag": "old"}
        },
        "ChatService.CreateChatMessage": writing,
        "ChatService.CreateChatMessage/restricted": writing,
        "ChatService.EditChatMessage": {"name": nothing, "text": "Hello"},
        "ChatService.DeleteChatMessage": {"name": nothing},
        "ChatService.DeleteChatMessage/others": {"name": ground.message},
        "PollService.CreatePoll": {"parent": meeting, "poll": poll},
        "PollService.GetPoll": {"name": ground.poll},
        "PollService.GetPoll/voters": {"name": ground.poll},
        "PollService.VotePoll": {"name": ground.poll, "choices": [VOTE]},
        "PollService.ClosePoll": {"name": f"{meeting}/polls/{NIL}"},
        "PollService.ClosePoll/others": {"name": ground.poll},
        "ScheduleService.GetSchedule": {"name": f"{meeting}/schedule"},
        "ScheduleService.UpdateSchedule": {
            "schedule": {"name": f"{meeting}/schedule", "start_time": {"seconds": 1}}
        },
        "ScheduleService.CreateInvitations": {"parent": meeting, "emails": ["ann@example.org"]},
        "ScheduleService.DeleteInvitation": {"name": f"{meeting}/invitations/{NIL}"},
        "ReportService.GetNotes": {"name": f"{meeting}/notes"},
        "TranscriptService.GetSummary": {"name": summary},
        "TranscriptService.GenerateSummary": {"name": summary},
    }


__all__ = [
    "DENIALS",
    "NIL",
    "ROLES",
    "ROWS",
    "VOTE",
    "Ground",
    "has_it",
    "is_lasting",
    "message_of",
    "method_of",
    "request",
]
