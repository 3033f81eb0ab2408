"""Who may do what in a meeting, by role: the one table. Pure."""

from __future__ import annotations

from enum import Enum, auto

from services.meeting.domain import (
    Meeting,
    MeetingEnded,
    MeetingState,
    NotParticipant,
    Participant,
    ParticipantRole,
    ParticipantState,
)

HERE = (ParticipantState.JOINING, ParticipantState.CONNECTED)


class Action(Enum):
    """What not everybody may do, or not always."""

    WRITE_CHAT = auto()
    """Write in the chat, as far as the chat policy lets everyone."""
    WRITE_RESTRICTED_CHAT = auto()
    """Write in the chat where the policy is CHAT_POLICY_HOSTS."""
    MODERATE_CHAT = auto()
    """Delete what others have written."""
    ASK_POLL = auto()
    """Ask the room, and close what others have asked."""
    ANSWER_POLL = auto()
    """Answer a poll."""
    SEE_VOTERS = auto()
    """See who chose what, in polls that are not anonymous."""
    WRITE_NOTES = auto()
    """Change the shared notes."""


_HOSTS = frozenset({ParticipantRole.HOST})
_ALL = frozenset(ParticipantRole)

ALLOWED: dict[Action, frozenset[ParticipantRole]] = {
    Action.WRITE_CHAT: _ALL,
    Action.WRITE_RESTRICTED_CHAT: _HOSTS,
    Action.MODERATE_CHAT: _HOSTS,
    Action.ASK_POLL: _HOSTS,
    Action.ANSWER_POLL: _ALL,
    Action.SEE_VOTERS: _HOSTS,
    Action.WRITE_NOTES: _ALL,
}


def may(participant: Participant, action: Action) -> bool:
    """Tell whether a participant may do something."""
    return participant.role in ALLOWED[action]


def present(meeting: Meeting, participant: Participant | None) -> Participant:
    """See that somebody is in a meeting that goes on. Raises MeetingEnded, NotParticipant."""
    if meeting.state is MeetingState.ENDED:
        raise MeetingEnded(meeting=meeting.name)
    if participant is None or participant.state not in HERE:
        raise NotParticipant(meeting=meeting.name)
    return participant


def known(meeting: Meeting, participant: Participant | None) -> Participant:
    """See that somebody is, or was, in a meeting. Raises NotParticipant."""
    if participant is None:
        raise NotParticipant(meeting=meeting.name)
    return participant


__all__ = ["ALLOWED", "HERE", "Action", "known", "may", "present"]
