"""Who may do what in a meeting: the one table of methods and standings. Pure.

Whoever may call a method at all is the contract's to say (`access`). A row with a slash is what a method does for some alone.
Beyond the table there are two rules, in `gathering.py`: nobody acts on who stands above them, and some methods are for
one's own participant alone; and what is written takes a grant, too (TAKES_CHAT), which a host can revoke.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.meeting.domain import (
    Meeting,
    MeetingEnded,
    NotHost,
    NotParticipant,
    NotPresenter,
    Participant,
)
from services.meeting.roles import Standing, granted

HOST = frozenset({Standing.HOST})
HOSTS = HOST | {Standing.COHOST}
PRESENTERS = HOSTS | {Standing.PRESENTER}
THERE = PRESENTERS | {Standing.PARTICIPANT}
JOINED = THERE | {Standing.FORMER}
EVERYONE = frozenset(Standing)

PERMISSIONS: Mapping[str, frozenset[Standing]] = {
    "MeetingService.GetMeeting": EVERYONE,
    "MeetingService.UpdateMeeting": HOSTS,
    "MeetingService.CancelMeeting": HOST,
    "MeetingService.DeleteMeeting": HOST,
    "MeetingService.LockMeeting": HOSTS,
    "MeetingService.UnlockMeeting": HOSTS,
    "MeetingService.JoinMeeting": EVERYONE,
    "MeetingService.LeaveMeeting": EVERYONE,
    "MeetingService.EndMeeting": HOST,
    "MeetingService.ListParticipants": JOINED,
    "ParticipantService.GetParticipant": JOINED,
    "ParticipantService.WaitForAdmission": EVERYONE,
    "ParticipantService.AdmitParticipant": HOSTS,
    "ParticipantService.AdmitAllParticipants": HOSTS,
    "ParticipantService.DenyParticipant": HOSTS,
    "ParticipantService.RemoveParticipant": HOSTS,
    "ParticipantService.SetParticipantRole": HOST,
    "ParticipantService.SetParticipantGrants": HOSTS,
    "ParticipantService.MuteParticipant": HOSTS,
    "ParticipantService.MuteAllParticipants": HOSTS,
    "ParticipantService.AskToUnmute": HOSTS,
    "ParticipantService.SetConsent": EVERYONE,
    "BreakoutService.OpenBreakouts": HOSTS,
    "BreakoutService.ListBreakouts": JOINED,
    "BreakoutService.MoveParticipant": JOINED,
    "BreakoutService.MoveParticipant/others": HOSTS,
    "BreakoutService.CloseBreakouts": HOSTS,
    "SettingsService.GetSettings": EVERYONE,
    "SettingsService.UpdateSettings": HOSTS,
    "ScheduleService.GetSchedule": EVERYONE,
    "ScheduleService.UpdateSchedule": HOST,
    "ScheduleService.GetCalendarFile": EVERYONE,
    "ScheduleService.CreateInvitations": HOSTS,
    "ScheduleService.ListInvitations": HOSTS,
    "ScheduleService.DeleteInvitation": HOSTS,
    "ChatService.CreateChatMessage": THERE,
    "ChatService.CreateChatMessage/restricted": HOSTS,
    "ChatService.ListChatMessages": JOINED,
    "ChatService.EditChatMessage": JOINED,
    "ChatService.DeleteChatMessage": JOINED,
    "ChatService.DeleteChatMessage/others": HOSTS,
    "PollService.CreatePoll": PRESENTERS,
    "PollService.GetPoll": JOINED,
    "PollService.GetPoll/voters": HOSTS,
    "PollService.ListPolls": JOINED,
    "PollService.VotePoll": THERE,
    "PollService.ClosePoll": JOINED,
    "PollService.ClosePoll/others": PRESENTERS,
    "NotesService.ApplyNotesUpdate": THERE,
    "ReportService.ListAttendances": HOST,
    "ReportService.GetNotes": JOINED,
    "TranscriptService.ListTranscriptSegments": JOINED,
    "TranscriptService.ExportTranscript": JOINED,
    "TranscriptService.DeleteTranscript": HOST,
    "TranscriptService.GetSummary": JOINED,
    "TranscriptService.GenerateSummary": HOSTS,
    "TranscriptService.CatchUp": JOINED,
}
TAKES_CHAT = frozenset(
    {
        "ChatService.CreateChatMessage",
        "ChatService.EditChatMessage",
        "PollService.VotePoll",
        "NotesService.ApplyNotesUpdate",
    }
)
"""Methods that take the grant `chat`, whatever the standing."""


def may(standing: Standing, method: str) -> bool:
    """Tell whether somebody who stands so to a meeting may call a method, `Service.Method`, or have what a row says."""
    return standing in PERMISSIONS[method]


def check(standing: Standing, method: str, meeting: Meeting) -> None:
    """See that they may. Raises NotParticipant where it takes having joined, else NotPresenter or NotHost."""
    if may(standing, method):
        return
    if Standing.PARTICIPANT in PERMISSIONS[method]:
        raise NotParticipant(meeting=meeting.name)
    if Standing.PRESENTER in PERMISSIONS[method]:
        raise NotPresenter(meeting=meeting.name)
    raise NotHost(meeting=meeting.name)


def is_granted(participant: Participant, method: str, meeting: Meeting) -> bool:
    """Tell whether a participant has the grant that a method takes, if it takes one."""
    return method not in TAKES_CHAT or granted(participant, meeting).chat


def present(meeting: Meeting, participant: Participant | None) -> Participant:
    """See that somebody is in a meeting that goes on. Raises MeetingEnded, NotParticipant."""
    if meeting.is_over:
        raise MeetingEnded(meeting=meeting.name)
    if participant is None or not participant.is_here:
        raise NotParticipant(meeting=meeting.name)
    return participant


def known(meeting: Meeting, participant: Participant | None) -> Participant:
    """See that somebody is, or was, in a meeting. Raises NotParticipant."""
    if participant is None:
        raise NotParticipant(meeting=meeting.name)
    return participant


__all__ = [
    "EVERYONE",
    "HOST",
    "HOSTS",
    "JOINED",
    "PERMISSIONS",
    "PRESENTERS",
    "TAKES_CHAT",
    "THERE",
    "check",
    "is_granted",
    "known",
    "may",
    "present",
]
