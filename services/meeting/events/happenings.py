"""What has happened to a meeting, for programs to be told: found by comparing it, and its people, with before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from services.meeting.domain import Meeting, MeetingState, Participant, ParticipantState


class Kind(IntEnum):
    """What can happen; the numbers are the contract's."""

    CREATED = 1
    UPDATED = 2
    STARTED = 3
    ENDED = 4
    CANCELLED = 5
    PARTICIPANT_JOINED = 6
    PARTICIPANT_LEFT = 7
    PARTICIPANT_WAITING = 8
    TRANSCRIPT_READY = 11
    SUMMARY_READY = 12


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that has happened: to a participant, or about a `subject`, a resource name, if there is one."""

    kind: Kind
    participant: Participant | None = None
    subject: str = ""


_STATES = {
    MeetingState.SCHEDULED: Kind.ENDED,
    MeetingState.ACTIVE: Kind.STARTED,
    MeetingState.ENDED: Kind.ENDED,
    MeetingState.CANCELLED: Kind.CANCELLED,
}

People = Mapping[UUID, Participant]


def happenings(
    before: Meeting, after: Meeting, people_before: People, people: People
) -> list[Happening]:
    """List what has happened, in the order of a story: it starts, people come and go, it ends."""
    meeting = _of_meeting(before, after)
    told = [Happening(*each) for each in _of_people(people_before, people)]
    return [*told, *meeting] if after.has_ended_since(before) else [*meeting, *told]


def _of_meeting(before: Meeting, after: Meeting) -> list[Happening]:
    if after.state is not before.state:
        return [Happening(_STATES[after.state])]
    return [Happening(Kind.UPDATED)] if after.revision != before.revision else []


def _of_people(before: People, after: People) -> Iterator[tuple[Kind, Participant]]:
    """Tell who has come, gone and begun to wait; who never came into the call has not left it either."""
    came = ParticipantState.CONNECTED
    for each in sorted(after.values(), key=lambda person: (person.join_time, person.id)):
        was = before[each.id].state if each.id in before else None
        if was is each.state:
            continue
        if each.state is came:
            yield Kind.PARTICIPANT_JOINED, each
        elif was is came:
            yield Kind.PARTICIPANT_LEFT, each
        elif each.state is ParticipantState.WAITING:
            yield Kind.PARTICIPANT_WAITING, each


__all__ = ["Happening", "Kind", "happenings"]
