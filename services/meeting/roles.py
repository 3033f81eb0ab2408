"""What each role may do in the call, and how somebody stands to a meeting. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from uuid import UUID

from services.meeting.domain import Meeting, Participant, ParticipantRole, ParticipantState
from services.meeting.grants import Grants

EVERYTHING = Grants(
    publish_audio=True,
    publish_video=True,
    publish_screen=True,
    subscribe=True,
    chat=True,
    record=True,
    administer=True,
)
BY_ROLE = {
    ParticipantRole.HOST: EVERYTHING,
    ParticipantRole.COHOST: EVERYTHING,
    ParticipantRole.PRESENTER: replace(EVERYTHING, record=False, administer=False),
    ParticipantRole.PARTICIPANT: replace(EVERYTHING, record=False, administer=False),
}


class Standing(Enum):
    """How somebody stands to a meeting, the nearest first. FORMER have been in it, STRANGER never have."""

    HOST = "host"
    COHOST = "cohost"
    PRESENTER = "presenter"
    PARTICIPANT = "participant"
    FORMER = "former"
    WAITING = "waiting"
    STRANGER = "stranger"


def granted(participant: Participant, meeting: Meeting) -> Grants:
    """Say all that a participant may do now: what a host has said, else what the role gives."""
    if participant.grants is not None:
        return participant.grants
    grants = BY_ROLE[participant.role]
    is_watching = participant.role is ParticipantRole.PARTICIPANT
    if is_watching and not meeting.settings.screen_sharing_allowed:
        grants = replace(grants, publish_screen=False)
    return grants


def begins_muted(participant: Participant, meeting: Meeting) -> bool:
    """Tell whether a participant's microphone is muted when it is first published."""
    runs = participant.role in (ParticipantRole.HOST, ParticipantRole.COHOST)
    return meeting.settings.mute_on_entry and not runs


def standing(
    meeting: Meeting, user_id: UUID, own: Iterable[Participant], *, has_been: bool = False
) -> Standing:
    """Say how a user stands to a meeting: its host, whatever their participants; else as the highest of those there.

    Who may administer is a co-host, whatever the role; a co-host who may not is a presenter. Of who is not there the latest
    of their participants counts: who waits, or was turned away, is not FORMER, though they have been there before.
    """
    if user_id == meeting.host_id:
        return Standing.HOST
    known = sorted(own, key=lambda each: each.join_time)
    if there := [standing_of(each, meeting) for each in known if each.is_here]:
        return min(there, key=list(Standing).index)
    if known and known[-1].state is ParticipantState.WAITING:
        return Standing.WAITING
    if known and known[-1].state is ParticipantState.DENIED:
        return Standing.STRANGER
    has_been = has_been or any(each.admit_time for each in known)
    return Standing.FORMER if has_been else Standing.STRANGER


def standing_of(participant: Participant, meeting: Meeting) -> Standing:
    """Say how a participant stands to a meeting while they are there."""
    if participant.role is ParticipantRole.HOST:
        return Standing.HOST
    if granted(participant, meeting).administer:
        return Standing.COHOST
    if participant.role is ParticipantRole.COHOST:
        return Standing.PRESENTER
    return Standing(participant.role.value)


__all__ = [
    "BY_ROLE",
    "EVERYTHING",
    "Standing",
    "begins_muted",
    "granted",
    "standing",
    "standing_of",
]
