"""A meeting with those who are in it or in its lobby: the rules that concern several of them. Pure.

One transaction reads a gathering, changes it by these methods, and writes what has changed. The rules:

- At most `capacity` hold a place: who is connected, and who has a ticket that can still be used.
- Who was let in once, and was not taken out, passes the lobby and comes back as what they were, with the same grants.
- `meeting.host_id` is the host. The host may hand over for good; the old host becomes a co-host.
- When no host has been there for HOST_AWAY, a stand-in takes over: the co-host who is there longest, else whoever is there
  longest. A stand-in may do what a host may, hands over only the standing in, and steps down when the host is back.
- Who is in one of the breakout rooms keeps a place, and a host there is not away. In breakout rooms nobody stands in.
- Nobody acts on who stands above them. What lets others run the meeting (`administer`) is hosts' to grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from services.meeting.domain import (
    Meeting,
    MeetingFull,
    NotHost,
    Participant,
    ParticipantGone,
    ParticipantNotFound,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.events.happenings import Happening, happenings
from services.meeting.grants import Grants
from services.meeting.joining.lobby import (
    MAX_WAITING,
    WAITING_LEASE,
    Caller,
    LobbyFull,
    NotWaiting,
    check_door,
    grants_at_the_door,
    has_to_wait,
    role_at_the_door,
)
from services.meeting.roles import Standing, granted, standing
from services.meeting.settings import HOST_LEAVES_END

HOST_AWAY = timedelta(seconds=60)
SHOWN = ("title", "description", "host_id", "passcode", "capacity", "locked", "voice_activity")


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many there are in a meeting of which not all were read: how many are connected, and how many hold a place."""

    connected: int
    places: int


class Gathering:
    """A meeting and its people, by their ids, at a time. `banned` are those users who are to be kept out from now on.

    `beside` are who is in its breakout rooms, and hosts who have just left them. With a `crowd` the people are those whom
    the rules look at by name, and all the others are but counted.
    """

    def __init__(
        self,
        meeting: Meeting,
        people: Iterable[Participant],
        now: datetime,
        lifetime: timedelta,
        beside: Iterable[Participant] = (),
        crowd: Crowd | None = None,
    ) -> None:
        self.meeting = meeting
        self.people = {each.id: each for each in people}
        self.banned: set[UUID] = set()
        self.now = now
        self._lifetime = lifetime
        self._beside = tuple(beside)
        self._meeting_before, self._before = meeting, dict(self.people)
        read = Crowd(self._count_connected(), self._count_places())
        self._others = (
            Crowd(crowd.connected - read.connected, crowd.places - read.places)
            if crowd
            else Crowd(0, 0)
        )
        for each in self.people.values():
            self._put(self._tidied(each))

    @property
    def connected(self) -> int:
        """Count who is in the call."""
        return self._count_connected() + self._others.connected

    def here(self) -> list[Participant]:
        """List who is here or on the way, in order of joining."""
        return self._in_order(each for each in self.people.values() if each.is_here)

    def waiting(self) -> list[Participant]:
        """List who is in the lobby, in order of coming."""
        state = ParticipantState.WAITING
        return self._in_order(each for each in self.people.values() if each.state is state)

    def person(self, participant_id: UUID) -> Participant:
        """Find somebody. Raises ParticipantNotFound."""
        if (found := self.people.get(participant_id)) is None:
            raise ParticipantNotFound
        return found

    def standing(self, user_id: UUID) -> Standing:
        """Say how a user stands to the meeting."""
        own = (each for each in self.people.values() if each.user_id == user_id)
        return standing(self.meeting, user_id, own)

    def join(self, caller: Caller) -> Participant:
        """Let somebody in, or have them wait. Who waits already goes on waiting.

        Raises MeetingEnded, Banned, WrongPasscode, MeetingLocked, MeetingFull, LobbyFull.
        """
        role = role_at_the_door(self.meeting, caller)
        check_door(self.meeting, caller, role)
        for each in self.waiting():
            if each.user_id == caller.user_id:
                return self._put(replace(each, seen_time=self.now))
        newcomer = Participant(
            id=uuid4(),
            meeting_id=self.meeting.id,
            meeting_code=self.meeting.code,
            user_id=caller.user_id,
            display_name=caller.display_name,
            role=role,
            state=ParticipantState.WAITING,
            join_time=self.now,
            consent=caller.consent,
            grants=grants_at_the_door(caller, role),
            seen_time=self.now,
        )
        if has_to_wait(self.meeting, caller, role):
            if len(self.waiting()) >= MAX_WAITING:
                raise LobbyFull(meeting=self.meeting.name, limit=str(MAX_WAITING))
            return self._put(newcomer)
        return self._let_in(newcomer)

    def admit(self, participant_id: UUID) -> Participant:
        """Let somebody in from the lobby; again changes nothing. Raises ParticipantGone, MeetingFull, MeetingEnded."""
        self.meeting.check_open()
        return self._let_in(self.person(participant_id))

    def admit_all(self) -> list[Participant]:
        """Let in everyone who waits, in order, as far as there is room. Raises MeetingEnded."""
        self.meeting.check_open()
        room = max(0, self.meeting.capacity - self._places())
        return [self._let_in(each) for each in self.waiting()[:room]]

    def deny(self, participant_id: UUID) -> Participant:
        """Turn somebody away; again changes nothing. Raises NotWaiting."""
        person = self.person(participant_id)
        if person.state is ParticipantState.DENIED:
            return person
        if person.state is not ParticipantState.WAITING:
            raise NotWaiting(participant=person.name)
        return self._put(replace(person, state=ParticipantState.DENIED, leave_time=self.now))

    def remove(self, participant_id: UUID, by: Standing, *, ban: bool) -> Participant:
        """Take somebody out, and with a ban all that is here of them. Raises NotHost."""
        person = self.person(participant_id)
        self._check_not_above(person, by)
        if person.user_id == self.meeting.host_id:
            raise NotHost(text="The host can't be taken out: hand over first.")
        if ban:
            self.banned.add(person.user_id)
        for each in tuple(self.people.values()):
            is_meant = each.id == person.id or (ban and each.user_id == person.user_id)
            if is_meant and not each.is_gone:
                self._put(replace(each.left(self.now), is_removed=True))
        return self.person(participant_id)

    def set_role(self, participant_id: UUID, role: ParticipantRole, user_id: UUID) -> Participant:
        """Give somebody another role, as `user_id`, who is a host. Raises ParticipantGone, NotHost."""
        person = self._present(participant_id)
        if role is ParticipantRole.HOST:
            return self._hand_over(person, user_id)
        if person.user_id == self.meeting.host_id:
            raise NotHost(text="The host stays host until another is.")
        return self._put(replace(person, role=role, former_role=None, grants=None))

    def set_grants(self, participant_id: UUID, grants: Grants, by: Standing) -> Participant:
        """Say what somebody may do from now on, whatever their role. Raises ParticipantGone, NotHost."""
        person = self._present(participant_id)
        self._check_not_above(person, by)
        if person.role is ParticipantRole.HOST:
            raise NotHost(text="Of a host nothing is taken.")
        is_promoting = grants.administer != granted(person, self.meeting).administer
        if is_promoting and by is not Standing.HOST:
            raise NotHost(text="Who administers is the host's to say.")
        return self._put(replace(person, grants=grants))

    def connect(self, participant_id: UUID) -> Participant:
        """Somebody's ticket was used. Raises MeetingEnded, ParticipantGone."""
        self.meeting = self.meeting.started(self.now)
        return self._put(self.person(participant_id).connected(self.now))

    def leave(self, participant_id: UUID) -> Participant:
        """Somebody has gone."""
        return self._put(self.person(participant_id).left(self.now))

    def end(self, *, again: bool) -> None:
        """The meeting is over: for good, or, where it takes place `again`, for now."""
        self.close(self.meeting.rested(self.now) if again else self.meeting.ended(self.now))

    def close(self, meeting: Meeting) -> None:
        """The meeting is over, as `meeting` has it, for everyone who is here or waits."""
        self.meeting = meeting
        for each in tuple(self.people.values()):
            self._put(each.left(self.now))

    def take_over(self, *, again: bool = False) -> Participant | None:
        """Have somebody stand in for a host who has been away for long, or end the meeting, as its settings say.

        `again`: it takes place again.
        """
        away = self.meeting.host_away_time
        if away is None or self.now < away + HOST_AWAY or self._is_connected(ParticipantRole.HOST):
            return None
        if any(each.role is ParticipantRole.HOST for each in self._beside):
            return None
        if self.meeting.settings.host_leave_policy == HOST_LEAVES_END:
            self.end(again=again)
            return None
        there = [each for each in self.here() if each.state is ParticipantState.CONNECTED]
        if not there:
            return None
        first = min(there, key=lambda each: not granted(each, self.meeting).administer)
        self.meeting = replace(self.meeting, host_away_time=None)
        host = replace(first, role=ParticipantRole.HOST, former_role=first.role, grants=None)
        return self._put(host)

    def settle(self) -> None:
        """Draw the conclusions of what has happened; do it once, at the end.

        Who stands in steps down for the host, and it is noted since when there is none.
        """
        if self.meeting.is_over or self.meeting.has_ended_since(self._meeting_before):
            return
        owner = self.meeting.host_id
        connected = [e for e in self.here() if e.state is ParticipantState.CONNECTED]
        if any(each.user_id == owner for each in connected):
            for each in self.here():
                if each.former_role is not None:
                    self._put(replace(each, role=each.former_role, former_role=None))
        had_host = any(
            each.state is ParticipantState.CONNECTED and each.role is ParticipantRole.HOST
            for each in self._before.values()
        )
        if self._is_connected(ParticipantRole.HOST):
            self.meeting = replace(self.meeting, host_away_time=None)
        elif had_host and self.meeting.parent_id is None:
            self.meeting = replace(self.meeting, host_away_time=self.now)
        came = any(each.is_here and not self._was_here(each) for each in self.people.values())
        if came and self.meeting.settings.listens:
            self.meeting = self.meeting.reanalysed()

    @property
    def is_meeting_changed(self) -> bool:
        """Tell whether people in the meeting are to be told how it is now; that it is over they are told otherwise."""
        return any(
            getattr(self.meeting, name) != getattr(self._meeting_before, name) for name in SHOWN
        )

    @property
    def is_analysis_changed(self) -> bool:
        """Tell whether what is analysed has changed, or of whom."""
        return self.meeting.analysis_revision != self._meeting_before.analysis_revision

    @property
    def is_lobby_changed(self) -> bool:
        """Tell whether hosts are to be told anew who waits: others wait, or other hosts are there."""
        before, after = self._lobby(self._before), self._lobby(self.people)
        return before != after and bool(before[0] or after[0])

    def happenings(self) -> list[Happening]:
        """List what has happened that programs are told of."""
        return happenings(self._meeting_before, self.meeting, self._before, self.people)

    def changed(self) -> Iterator[tuple[Participant, bool]]:
        """List who has changed, each with whether signaling and media are to be told: of roles, grants and removals."""
        for each in self.people.values():
            before = self._before.get(each.id)
            if before is None:
                yield each, False
            elif each != before or self._granted_before(before) != self._granted(each):
                yield each, self._is_news(before, each)

    def _is_news(self, before: Participant, after: Participant) -> bool:
        if after.is_removed:
            return before.is_here
        is_other = (before.role, self._granted_before(before)) != (after.role, self._granted(after))
        return after.is_here and is_other

    def _granted(self, person: Participant) -> Grants:
        return granted(person, self.meeting)

    def _granted_before(self, person: Participant) -> Grants:
        return granted(person, self._meeting_before)

    def _was_here(self, person: Participant) -> bool:
        before = self._before.get(person.id)
        return before is not None and before.is_here

    def _lobby(self, people: dict[UUID, Participant]) -> tuple[set[UUID], set[UUID]]:
        state = ParticipantState.WAITING
        waiting = {each.id for each in people.values() if each.state is state}
        return waiting, {each.id for each in runs(people.values(), self.meeting)}

    def _hand_over(self, person: Participant, user_id: UUID) -> Participant:
        """Make somebody the host, or the stand-in, in place of who is; that one becomes a co-host."""
        if person.user_id == self.meeting.host_id:
            return person
        is_for_good = user_id == self.meeting.host_id
        for each in self.here():
            if each.role is ParticipantRole.HOST and each.user_id != person.user_id:
                cohost = ParticipantRole.COHOST
                self._put(replace(each, role=cohost, former_role=None, grants=None))
        if is_for_good:
            self.meeting = self.meeting.changed(self.now, host_id=person.user_id)
        for each in self.here():
            if each.id == person.id or (is_for_good and each.user_id == person.user_id):
                former = None if is_for_good else (each.former_role or each.role)
                host = replace(each, role=ParticipantRole.HOST, former_role=former, grants=None)
                self._put(host)
        return self.person(person.id)

    def _let_in(self, person: Participant) -> Participant:
        after = person.admitted(self.now)
        if after is not person and self._places(person.user_id) >= self.meeting.capacity:
            capacity = str(self.meeting.capacity)
            raise MeetingFull(meeting=self.meeting.name, capacity=capacity)
        return self._put(after)

    def _places(self, comer: UUID | None = None) -> int:
        """Count the places that are taken; who is in a breakout room has one, which is free for them as a `comer`."""
        holders = [e for e in self.people.values() if e.holds_place(self.now, self._lifetime)]
        beside = {each.user_id for each in self._beside if each.is_here}
        others = self._others.places + len(beside - {each.user_id for each in holders} - {comer})
        return len(holders) + others

    def _count_connected(self) -> int:
        return sum(e.state is ParticipantState.CONNECTED for e in self.people.values())

    def _count_places(self) -> int:
        return sum(e.holds_place(self.now, self._lifetime) for e in self.people.values())

    def _present(self, participant_id: UUID) -> Participant:
        person = self.person(participant_id)
        self.meeting.check_open()
        if not person.is_here:
            raise ParticipantGone(participant=person.name)
        return person

    def _check_not_above(self, person: Participant, by: Standing) -> None:
        is_hosts = person.is_here and person.role is ParticipantRole.HOST
        if is_hosts and by is not Standing.HOST:
            raise NotHost(participant=person.name)

    def _is_connected(self, role: ParticipantRole) -> bool:
        state = ParticipantState.CONNECTED
        return any(e.role is role and e.state is state for e in self.people.values())

    def _tidied(self, person: Participant) -> Participant:
        """Whose ticket has expired unused has gone, and so has who waits no more."""
        if person.state is ParticipantState.JOINING:
            is_there = person.holds_place(self.now, self._lifetime)
        elif person.state is ParticipantState.WAITING:
            is_there = self.now < (person.seen_time or person.join_time) + WAITING_LEASE
        else:
            return person
        return person if is_there else person.left(self.now)

    def _put(self, person: Participant) -> Participant:
        self.people[person.id] = person
        return person

    @staticmethod
    def _in_order(people: Iterable[Participant]) -> list[Participant]:
        return sorted(people, key=lambda each: (each.join_time, each.id))


def runs(people: Iterable[Participant], meeting: Meeting) -> list[Participant]:
    """List those connected who run the meeting: hosts, co-hosts and who else may administer."""
    state = ParticipantState.CONNECTED
    there = (each for each in people if each.state is state)
    return [e for e in there if e.role is ParticipantRole.HOST or granted(e, meeting).administer]


__all__ = ["HOST_AWAY", "Crowd", "Gathering", "runs"]
