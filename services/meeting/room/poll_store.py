"""Polls and their answers in Postgres. What changes them holds the meeting's lock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from chassis.db import Database
from services.meeting.domain import OVER, Meeting
from services.meeting.room.poll import Poll, PollNotFound, Vote
from services.meeting.room.tables import PollRow, VoteRow
from services.meeting.store import MeetingTransaction
from services.meeting.tables import MeetingRow

FORGOTTEN_AT_ONCE = 1_000


class Polls:
    """A meeting's polls, which nobody else can change meanwhile."""

    def __init__(self, transaction: MeetingTransaction) -> None:
        self._session = transaction.session
        self._meeting = transaction.meeting

    async def asked_before(self, user_id: UUID, request_id: UUID) -> Poll | None:
        """Find the poll that an earlier call with the same request id made."""
        where = (PollRow.creator_user_id == user_id) & (PollRow.request_id == request_id)
        query = select(PollRow).where(where & (PollRow.meeting_id == self._meeting.id))
        row = (await self._session.execute(query)).scalar_one_or_none()
        return None if row is None else _poll(self._meeting, row)

    async def count(self) -> int:
        """Count the meeting's polls."""
        query = select(func.max(PollRow.position)).where(PollRow.meeting_id == self._meeting.id)
        return (await self._session.execute(query)).scalar_one() or 0

    async def poll(self, poll_id: UUID) -> Poll:
        """Read a poll. Raises PollNotFound."""
        row = await self._session.get(PollRow, poll_id)
        if row is None or row.meeting_id != self._meeting.id:
            raise PollNotFound
        return _poll(self._meeting, row)

    async def vote(self, poll: Poll, user_id: UUID) -> Vote | None:
        """Read an account's answer; None where there is none."""
        row = await self._session.get(VoteRow, (poll.id, user_id))
        return None if row is None else _vote(row)

    def add(self, poll: Poll, request_id: UUID | None) -> None:
        """Add a poll."""
        values = {name: getattr(poll, name) for name in _FIELDS}
        values |= {"choices": list(poll.choices), "counts": list(poll.counts)}
        self._session.add(PollRow(**values, meeting_id=self._meeting.id, request_id=request_id))

    async def change(self, poll: Poll) -> None:
        """Write how a poll stands; one that is anonymous and closed forgets who has answered what."""
        row = await self._session.get_one(PollRow, poll.id)
        row.counts, row.voter_count = list(poll.counts), poll.voter_count
        row.close_time = poll.close_time
        if poll.anonymous and not poll.is_open:
            await self._session.execute(delete(VoteRow).where(VoteRow.poll_id == poll.id))

    async def put_vote(self, poll: Poll, user_id: UUID, vote: Vote | None) -> None:
        """Write an account's answer; None takes it away."""
        mine = (VoteRow.poll_id == poll.id) & (VoteRow.user_id == user_id)
        if vote is None:
            await self._session.execute(delete(VoteRow).where(mine))
            return
        values = {"participant_id": vote.participant_id, "choices": list(vote.choices)}
        statement = insert(VoteRow).values(poll_id=poll.id, user_id=user_id, **values)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=["poll_id", "user_id"], set_=values)
        )


class PollStore:
    """What is kept of polls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, meeting: Meeting, poll_id: UUID) -> Poll:
        """Read a poll. Raises PollNotFound."""
        where = (PollRow.meeting_id == meeting.id) & (PollRow.id == poll_id)
        async with self._database.begin() as session:
            row = (await session.execute(select(PollRow).where(where))).scalar_one_or_none()
        if row is None:
            raise PollNotFound
        return _poll(meeting, row)

    async def page(self, meeting: Meeting, below: int | None, limit: int) -> list[Poll]:
        """List polls, newest first, from below a position."""
        where: ColumnElement[bool] = PollRow.meeting_id == meeting.id
        if below is not None:
            where &= PollRow.position < below
        query = select(PollRow).where(where).order_by(PollRow.position.desc()).limit(limit)
        async with self._database.begin() as session:
            return [_poll(meeting, row) for row in (await session.execute(query)).scalars()]

    async def votes(self, polls: Collection[Poll], user_id: UUID | None) -> dict[UUID, list[Vote]]:
        """Read the answers to polls, of one account or (None) of all, in order of participants."""
        where: ColumnElement[bool] = VoteRow.poll_id.in_([poll.id for poll in polls])
        if user_id is not None:
            where &= VoteRow.user_id == user_id
        query = select(VoteRow).where(where).order_by(VoteRow.participant_id)
        found: dict[UUID, list[Vote]] = {}
        async with self._database.begin() as session:
            for row in (await session.execute(query)).scalars():
                found.setdefault(row.poll_id, []).append(_vote(row))
        return found

    async def forget_voters(self, now: datetime) -> int:
        """Forget who has answered anonymous polls of meetings that are over; returns how many answers."""
        over = (MeetingRow.state.in_([state.value for state in OVER])) & (
            MeetingRow.end_time <= now
        )
        found = select(VoteRow.poll_id).join(PollRow, PollRow.id == VoteRow.poll_id)
        found = found.join(MeetingRow, MeetingRow.id == PollRow.meeting_id)
        found = found.where(over & PollRow.anonymous).limit(FORGOTTEN_AT_ONCE)
        statement = delete(VoteRow).where(VoteRow.poll_id.in_(found)).returning(VoteRow.user_id)
        async with self._database.begin() as session:
            return len((await session.execute(statement)).all())


_FIELDS = (
    "id",
    "position",
    "question",
    "choices",
    "counts",
    "voter_count",
    "multiple",
    "anonymous",
    "live_results",
    "creator_id",
    "creator_user_id",
    "create_time",
    "close_time",
)


def _poll(meeting: Meeting, row: PollRow) -> Poll:
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    values |= {"choices": tuple(row.choices), "counts": tuple(row.counts)}
    return Poll(meeting_code=meeting.code, **values).as_of(meeting)


def _vote(row: VoteRow) -> Vote:
    return Vote(row.user_id, row.participant_id, tuple(row.choices))


__all__ = ["PollStore", "Polls"]
