"""What tokens that are not a person's own may do: the one table of scopes and methods, and that of guests.

Programs have tokens that name scopes (made of API keys), guests have tokens that name a meeting. A method that is in
neither table is not for them, so that a new one is closed until somebody writes it down here.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from chassis.auth import UserPrincipal
from chassis.errors import PermissionDenied

MEETINGS_READ = "meetings.read"
MEETINGS_WRITE = "meetings.write"
MEDIA_READ = "media.read"
MEDIA_WRITE = "media.write"
AI = "ai"
EVENTS = "events"
ADMIN = "admin"
SCOPES = (MEETINGS_READ, MEETINGS_WRITE, MEDIA_READ, MEDIA_WRITE, AI, EVENTS, ADMIN)
ANY = "any"
"""Whatever scopes the token has."""


class ScopeMissing(PermissionDenied):
    """The API key was made without the scope that this method needs (`metadata.scope`), or no key may call it."""

    reason = "SCOPE_MISSING"
    message = "This API key may not do this."


class NotForGuests(PermissionDenied):
    """Guests are in one meeting, and may do there what needs no account. Sign up for more."""

    reason = "NOT_FOR_GUESTS"
    message = "Guests may not do this: sign up."


_METHODS: Mapping[str, Mapping[str, str]] = {
    "ai.v1.AiService": {
        AI: "RecognizeSpeech RecognizeLongSpeech StreamRecognizeSpeech DetectEmotion StreamDetectEmotion ListModels",
    },
    "media.v1.LibraryService": {
        MEDIA_READ: "ListMedia GetMedia DownloadMedia",
        MEDIA_WRITE: "UploadMedia DeleteMedia",
    },
    "media.v1.RecordingService": {
        MEDIA_READ: "ListRecordings GetRecording DownloadRecording",
        MEDIA_WRITE: "StartRecording StopRecording DeleteRecording",
    },
    "media.v1.NodeService": {ADMIN: "ListNodes DrainNode"},
    "meeting.v1.MeetingService": {
        MEETINGS_READ: "GetMeeting ListMeetings SearchMeetings ListParticipants",
        MEETINGS_WRITE: "CreateMeeting UpdateMeeting CancelMeeting DeleteMeeting LockMeeting UnlockMeeting JoinMeeting "
        "LeaveMeeting EndMeeting",
    },
    "meeting.v1.SettingsService": {
        MEETINGS_READ: "GetSettings",
        MEETINGS_WRITE: "UpdateSettings",
    },
    "meeting.v1.ParticipantService": {
        MEETINGS_READ: "GetParticipant",
        MEETINGS_WRITE: "WaitForAdmission AdmitParticipant AdmitAllParticipants DenyParticipant RemoveParticipant "
        "SetParticipantRole SetParticipantGrants MuteParticipant MuteAllParticipants AskToUnmute SetConsent",
    },
    "meeting.v1.ChatService": {
        MEETINGS_READ: "ListChatMessages",
        MEETINGS_WRITE: "CreateChatMessage EditChatMessage DeleteChatMessage",
    },
    "meeting.v1.PollService": {
        MEETINGS_READ: "GetPoll ListPolls",
        MEETINGS_WRITE: "CreatePoll VotePoll ClosePoll",
    },
    "meeting.v1.BreakoutService": {
        MEETINGS_READ: "ListBreakouts",
        MEETINGS_WRITE: "OpenBreakouts MoveParticipant CloseBreakouts",
    },
    "meeting.v1.ReportService": {
        MEETINGS_READ: "ListAttendances GetNotes",
        ADMIN: "GetStatistics",
    },
    "meeting.v1.ScheduleService": {
        MEETINGS_READ: "GetSchedule ListOccurrences GetCalendarFile ListInvitations",
        MEETINGS_WRITE: "ScheduleMeeting UpdateSchedule CreateCalendarFeed CreateInvitations DeleteInvitation",
    },
    "meeting.v1.TranscriptService": {
        MEETINGS_READ: "ListTranscriptSegments ExportTranscript GetSummary CatchUp",
        MEETINGS_WRITE: "DeleteTranscript GenerateSummary",
    },
    "meeting.v1.WebhookService": {
        EVENTS: "CreateWebhook ListWebhooks DeleteWebhook ReplayWebhook ListDeliveries WatchEvents",
    },
    "user.v1.UserService": {ANY: "GetUser"},
    "user.v1.AccountService": {ANY: "GetAvatar"},
    "user.v1.AdminService": {
        ADMIN: "ListUsers BanUser UnbanUser SetUserRole CreateServiceAccount RotateSigningKey ListAuditEvents",
    },
}

_GUESTS: Mapping[str, Mapping[str, str]] = {
    "meeting.v1.MeetingService": {
        "name": "GetMeeting JoinMeeting LeaveMeeting",
        "parent": "ListParticipants",
    },
    "meeting.v1.SettingsService": {"name": "GetSettings"},
    "meeting.v1.ParticipantService": {"name": "GetParticipant WaitForAdmission SetConsent"},
    "meeting.v1.ChatService": {
        "parent": "CreateChatMessage ListChatMessages",
        "name": "EditChatMessage DeleteChatMessage",
    },
    "meeting.v1.PollService": {"name": "GetPoll VotePoll", "parent": "ListPolls"},
    "meeting.v1.ReportService": {"name": "GetNotes"},
    "meeting.v1.TranscriptService": {"name": "CatchUp"},
}
"""Field of the request that names the meeting, or something in it → methods."""


def _by_path(table: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    return {
        f"/parley.{service}/{method}": value
        for service, rows in table.items()
        for value, names in rows.items()
        for method in names.split()
    }


SCOPE_OF: Mapping[str, str] = _by_path(_METHODS)
"""Method (`/package.Service/Method`) → the scope that a program needs for it."""

MEETING_FIELD_OF: Mapping[str, str] = _by_path(_GUESTS)
"""Method → the field of its request that names a guest's meeting, or something in it."""


def check_may_call(caller: UserPrincipal, method: str) -> None:
    """See whether a token is for this method at all. Raises ScopeMissing, NotForGuests."""
    if caller.meeting and method not in MEETING_FIELD_OF:
        raise NotForGuests
    if caller.scopes is None:
        return
    scope = SCOPE_OF.get(method)
    if scope is None:
        raise ScopeMissing(text="No API key may do this.")
    if scope != ANY and scope not in caller.scopes:
        raise ScopeMissing(scope=scope)


def check_meeting(caller: UserPrincipal, method: str, request: Message) -> None:
    """See that a guest asks for their own meeting. Raises NotForGuests."""
    if not caller.meeting:
        return
    named = getattr(request, MEETING_FIELD_OF[method])
    if not f"{named}/".startswith(f"{caller.meeting}/"):
        raise NotForGuests(text="You are a guest of another meeting.")


__all__ = [
    "ANY",
    "MEETING_FIELD_OF",
    "SCOPES",
    "SCOPE_OF",
    "NotForGuests",
    "ScopeMissing",
    "check_may_call",
    "check_meeting",
]
