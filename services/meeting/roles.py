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


def standing(
    meeting: Meeting, user_id: UUID, own: Iterable[Participant], *, has_been: bool = False
) -> Standing:
    """Say how a user stands to a meeting: its host, whatever their participants; else as the highest of those.

    Who may administer is a co-host, whatever the role; a co-host who may not is a presenter.
    """
    if user_id == meeting.host_id:
        return Standing.HOST
    found = [_standing_of(each, meeting) for each in own]
    found.append(Standing.FORMER if has_been else Standing.STRANGER)
    return min(found, key=list(Standing).index)


def _standing_of(participant: Participant, meeting: Meeting) -> Standing:
    if participant.state is ParticipantState.WAITING:
        return Standing.WAITING
    if not participant.is_here:
        return Standing.FORMER if participant.admit_time else Standing.STRANGER
    if participant.role is ParticipantRole.HOST:
        return Standing.HOST
    if granted(participant, meeting).administer:
        return Standing.COHOST
    if participant.role is ParticipantRole.COHOST:
        return Standing.PRESENTER
    return Standing(participant.role.value)


__all__ = ["BY_ROLE", "EVERYTHING", "Standing", "granted", "standing"]
