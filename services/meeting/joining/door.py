"""What is read of a meeting for somebody who is at its door: in one round trip, and no more rows the fuller it is.

Of others it has those alone whom the rules look at by name: who runs the meeting, who waits, whose ticket has run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, String, Uuid, and_, bindparam, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached

from chassis.statements import Statement, run
from services.meeting.breakouts.rules import Seat
from services.meeting.breakouts.tables import SeatRow
from services.meeting.domain import (
    MeetingNotFound,
    Participant,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.gathering import Crowd
from services.meeting.joining.lobby import Caller
from services.meeting.settings import consent_of
from services.meeting.store import MeetingTransaction
from services.meeting.tables import BanRow, MeetingRow, ParticipantRow, to_participant

PEOPLE = 5_000


@dataclass(frozen=True, slots=True)
class Comer:
    """Who has come to the door, as they say; `request_id` is the same where they ask again."""

    user_id: UUID
    display_name: str
    passcode: str = ""
    request_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read: `before` is what the same request has made already."""

    transaction: MeetingTransaction
    people: list[Participant]
    crowd: Crowd
    caller: Caller
    before: Participant | None


async def at_the_door(
    session: AsyncSession, code: str, comer: Comer, now: datetime, lifetime: timedelta
) -> Seen:
    """Take a meeting's lock, and read it for somebody who has come. Raises MeetingNotFound, Unavailable."""
    meetings, people, crowd, seats, past, known, before = await run(
        session,
        [_MEETING, _PEOPLE, _CROWD, _SEAT, _PAST, _KNOWN, _BEFORE],
        code=code,
        user_id=comer.user_id,
        request_id=comer.request_id,
        fresh=now - lifetime,
    )
    if not meetings:
        raise MeetingNotFound(meeting=f"meetings/{code}")
    transaction = MeetingTransaction(session, _attached(session, meetings[0]))
    seat = Seat(**seats[0]._asdict()) if seats else None
    caller = Caller(
        user_id=comer.user_id,
        display_name=comer.display_name,
        passcode=comer.passcode,
        past=_first(past),
        consent=consent_of(known[0].consent or {}),
        is_banned=known[0].is_banned,
        is_assigned=seat is not None and seat.breakout_id == transaction.meeting.id,
        is_sent_back=seat is not None and seat.may_return(now),
    )
    return Seen(
        transaction,
        [to_participant(row) for row in people],
        Crowd(crowd[0].connected, crowd[0].places),
        caller,
        _first(before),
    )


def _attached(session: AsyncSession, row: Any) -> MeetingRow:
    """Make of what was read a row that the session writes where it changes."""
    attached = MeetingRow(**row._asdict())
    make_transient_to_detached(attached)
    session.add(attached)
    return attached


def _first(rows: list[Any]) -> Participant | None:
    return to_participant(rows[0]) if rows else None


_MEETINGS, _PEOPLE_OF = MeetingRow.__table__.c, ParticipantRow.__table__.c
_code = bindparam("code", type_=String)
_user_id = bindparam("user_id", type_=Uuid)
_fresh = bindparam("fresh", type_=DateTime(timezone=True))

_here = select(_MEETINGS.id).where(_MEETINGS.code == _code).scalar_subquery()
_main = select(func.coalesce(_MEETINGS.parent_id, _MEETINGS.id)).where(_MEETINGS.code == _code)
_main_id = _main.scalar_subquery()
_rooms = select(_MEETINGS.id).where(_MEETINGS.parent_id == _main_id)

_is_own = _PEOPLE_OF.user_id == _user_id
_is_connected = _PEOPLE_OF.state == ParticipantState.CONNECTED.value
_is_joining = _PEOPLE_OF.state == ParticipantState.JOINING.value
_ticket_time = func.coalesce(_PEOPLE_OF.admit_time, _PEOPLE_OF.join_time)
_runs = or_(
    _PEOPLE_OF.role == ParticipantRole.HOST.value, _PEOPLE_OF.role == ParticipantRole.COHOST.value
)

_MEETING = Statement(select(*_MEETINGS).where(_MEETINGS.code == _code).with_for_update())
_PEOPLE = Statement(
    select(*_PEOPLE_OF)
    .where(
        _PEOPLE_OF.meeting_id == _here,
        or_(
            _PEOPLE_OF.state == ParticipantState.WAITING.value,
            and_(_is_joining, _ticket_time <= _fresh),
            and_(
                or_(_is_connected, _is_joining),
                or_(_runs, _PEOPLE_OF.grants.is_not(None), _is_own),
            ),
        ),
    )
    .limit(PEOPLE)
)
_CROWD = Statement(
    select(
        func.count().filter(_is_connected).label("connected"),
        func.count()
        .filter(or_(_is_connected, and_(_is_joining, _ticket_time > _fresh)))
        .label("places"),
    ).where(_PEOPLE_OF.meeting_id == _here)
)
_SEAT = Statement(
    select(SeatRow.user_id, SeatRow.participant_id, SeatRow.breakout_id, SeatRow.move_time)
    .where(SeatRow.meeting_id == _main_id, SeatRow.user_id == _user_id)
    .with_for_update(read=True)
)
_PAST = Statement(
    select(*_PEOPLE_OF)
    .where(
        or_(_PEOPLE_OF.meeting_id == _here, _PEOPLE_OF.meeting_id == _main_id),
        _is_own,
        _PEOPLE_OF.admit_time.is_not(None),
    )
    .order_by(_PEOPLE_OF.admit_time.desc(), _PEOPLE_OF.is_removed.desc())
    .limit(1)
)
_KNOWN = Statement(
    select(
        exists()
        .where(BanRow.meeting_id == _main_id, BanRow.user_id == _user_id)
        .label("is_banned"),
        select(_PEOPLE_OF.consent)
        .where(or_(_PEOPLE_OF.meeting_id == _main_id, _PEOPLE_OF.meeting_id.in_(_rooms)), _is_own)
        .order_by(_PEOPLE_OF.join_time.desc())
        .limit(1)
        .scalar_subquery()
        .label("consent"),
    )
)
_BEFORE = Statement(
    select(*_PEOPLE_OF).where(
        _PEOPLE_OF.meeting_id == _here,
        _is_own,
        _PEOPLE_OF.request_id == bindparam("request_id", type_=Uuid),
    )
)

__all__ = ["Comer", "Seen", "at_the_door"]
