"""Who may do what in a meeting: the one table of methods and standings. Pure.

Whoever may call a method at all is the contract's to say (`access`). Beyond the table there are two rules, in
`gathering.py`: nobody acts on who stands above them, and some methods are for one's own participant alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.meeting.domain import Meeting, NotHost, NotParticipant
from services.meeting.roles import Standing

HOST = frozenset({Standing.HOST})
HOSTS = HOST | {Standing.COHOST}
THERE = HOSTS | {Standing.PRESENTER, Standing.PARTICIPANT}
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
    "SettingsService.GetSettings": EVERYONE,
    "SettingsService.UpdateSettings": HOSTS,
    "TranscriptService.ListTranscriptSegments": JOINED,
    "TranscriptService.ExportTranscript": JOINED,
    "TranscriptService.DeleteTranscript": HOST,
    "TranscriptService.GetSummary": JOINED,
    "TranscriptService.GenerateSummary": HOSTS,
    "TranscriptService.CatchUp": JOINED,
}


def may(standing: Standing, method: str) -> bool:
    """Tell whether somebody who stands so to a meeting may call a method, `Service.Method`."""
    return standing in PERMISSIONS[method]


def check(standing: Standing, method: str, meeting: Meeting) -> None:
    """See that they may. Raises NotParticipant where it takes having joined, else NotHost."""
    if may(standing, method):
        return
    if Standing.PARTICIPANT in PERMISSIONS[method]:
        raise NotParticipant(meeting=meeting.name)
    raise NotHost(meeting=meeting.name)


__all__ = ["EVERYONE", "HOST", "HOSTS", "JOINED", "PERMISSIONS", "THERE", "check", "may"]
