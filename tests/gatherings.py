"""A meeting in memory, whose every transaction is a Gathering's: what the store does, without Postgres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from services.meeting.domain import Meeting, Participant
from services.meeting.gathering import Gathering
from services.meeting.joining.lobby import Caller
from services.meeting.roles import Standing
from tests.meetings import HOST, NOW, a_meeting

TICKET = timedelta(minutes=10)

T = TypeVar("T")


@dataclass
class Room:
    """A meeting and everyone who ever was in it."""

    meeting: Meeting = field(default_factory=a_meeting)
    now: datetime = NOW
    people: dict[UUID, Participant] = field(default_factory=dict)
    banned: set[UUID] = field(default_factory=set)
    told: list[Participant] = field(default_factory=list)

    def do(self, change: Callable[[Gathering], T]) -> T:
        """Change it in one transaction; one that raises changes nothing."""
        gathering = Gathering(self.meeting, self.people.values(), self.now, TICKET)
        answer = change(gathering)
        gathering.settle()
        self.told = [each for each, is_told in gathering.changed() if is_told]
        self.meeting, self.people = gathering.meeting, gathering.people
        self.banned |= gathering.banned
        return answer

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def caller(self, user: UUID, passcode: str = "") -> Caller:
        been = [e for e in self.people.values() if e.user_id == user and e.admit_time]
        past = max(reversed(been), key=lambda each: each.admit_time or NOW, default=None)
        return Caller(user, "Bob", passcode, past=past, is_banned=user in self.banned)

    def join(self, user: UUID | None = None, passcode: str = "") -> Participant:
        caller = self.caller(user or uuid4(), passcode)
        return self.do(lambda it: it.join(caller))

    def enter(self, user: UUID | None = None) -> Participant:
        """Join and connect."""
        joined = self.join(user)
        return self.do(lambda it: it.connect(joined.id))

    def host(self) -> Participant:
        """Have the host there."""
        return self.enter(HOST)

    def leave(self, participant: Participant) -> None:
        self.do(lambda it: it.leave(participant.id))

    def tend(self) -> None:
        self.do(lambda it: it.take_over())

    def person(self, participant: Participant) -> Participant:
        return self.people[participant.id]

    def standing(self, user: UUID) -> Standing:
        return self.do(lambda it: it.standing(user))


__all__ = ["TICKET", "Room"]
