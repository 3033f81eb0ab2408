"""Invitations and letters in Postgres.

A letter is written in the transaction of what it tells of, and is there until a server takes it: the meeting, and the
invitation, may be gone by then. What changes invitations holds the meeting's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from chassis.db import Database
from chassis.mail import Mail, Outcome
from services.meeting.domain import Meeting
from services.meeting.planning.invitation import (
    LETTERS_A_DAY,
    MAX_INVITATIONS,
    Invitation,
    InvitationNotFound,
    InvitationState,
    TooManyInvitations,
    tried_again,
)
from services.meeting.planning.tables import InvitationRow, LetterCountRow, LetterRow
from services.meeting.store import MeetingTransaction

LEASE = timedelta(minutes=15)
"""For so long a letter is its sender's; then another tries."""
COUNTED_DAYS = 2
PRUNED_AT_ONCE = 1000


class Invitations:
    """A meeting's invitations, which nobody else can change meanwhile."""

    def __init__(self, transaction: MeetingTransaction) -> None:
        self._session = transaction.session
        self._meeting = transaction.meeting

    async def all(self) -> list[Invitation]:
        """List them, oldest first."""
        query = select(InvitationRow).where(InvitationRow.meeting_id == self._meeting.id)
        query = query.order_by(InvitationRow.create_time, InvitationRow.id)
        rows = (await self._session.execute(query)).scalars()
        return [_invitation(self._meeting, row) for row in rows]

    async def add(
        self, emails: Sequence[str], language: str, words: str, now: datetime
    ) -> list[Invitation]:
        """Add invitations of addresses that have none. Raises TooManyInvitations."""
        query = select(func.count()).where(InvitationRow.meeting_id == self._meeting.id)
        if (await self._session.execute(query)).scalar_one() + len(emails) > MAX_INVITATIONS:
            raise TooManyInvitations(limit=str(MAX_INVITATIONS))
        # In the order of the addresses: their times differ, and lists are sorted by them.
        rows = [
            InvitationRow(
                id=uuid4(),
                meeting_id=self._meeting.id,
                email=email,
                language=language,
                words=words,
                state=InvitationState.PENDING.value,
                create_time=now + timedelta(microseconds=number),
            )
            for number, email in enumerate(emails)
        ]
        self._session.add_all(rows)
        return [_invitation(self._meeting, row) for row in rows]

    async def take_back(self, invitation_id: UUID) -> Invitation:
        """Delete an invitation. Raises InvitationNotFound."""
        row = await self._session.get(InvitationRow, invitation_id)
        if row is None or row.meeting_id != self._meeting.id:
            raise InvitationNotFound
        await self._session.delete(row)
        return _invitation(self._meeting, row)

    async def spend(self, user_id: UUID, letters: int, now: datetime) -> None:
        """Count letters that somebody causes today. Raises TooManyInvitations."""
        if not letters:
            return
        key = {"user_id": user_id, "day": now.date()}
        await self._session.execute(
            insert(LetterCountRow).values(**key, count=0).on_conflict_do_nothing()
        )
        mine = (LetterCountRow.user_id == user_id) & (LetterCountRow.day == now.date())
        is_enough = LetterCountRow.count + letters <= LETTERS_A_DAY
        statement = update(LetterCountRow).where(mine & is_enough)
        statement = statement.values(count=LetterCountRow.count + letters)
        spent = await self._session.execute(statement.returning(LetterCountRow.count))
        if spent.one_or_none() is None:
            midnight = datetime.combine(now.date(), datetime.min.time(), now.tzinfo)
            wait = (midnight + timedelta(days=1) - now).total_seconds()
            raise TooManyInvitations(retry_after=wait, limit=str(LETTERS_A_DAY))

    async def recall(self, invitations: Sequence[Invitation]) -> set[UUID]:
        """Take back letters that nobody is sending; returns the ids of those who then know of nothing."""
        ids = [each.id for each in invitations]
        mine = LetterRow.invitation_id.in_(ids)
        await self._session.execute(delete(LetterRow).where(mine & ~LetterRow.is_out))
        still_out = (await self._session.execute(select(LetterRow.invitation_id).where(mine))).all()
        pending = {each.id for each in invitations if each.state is InvitationState.PENDING}
        return pending - {row.invitation_id for row in still_out}

    def send(self, invitation: Invitation, mail: Mail, now: datetime) -> None:
        """Have a letter sent, if this transaction is committed."""
        self._session.add(
            LetterRow(
                id=uuid4(),
                invitation_id=invitation.id,
                email=mail.to,
                subject=mail.subject,
                text=mail.text,
                calendar=mail.calendar,
                method=mail.method,
                create_time=now,
                attempts=0,
                is_out=False,
                due_time=now,
            )
        )


class InvitationStore:
    """What is kept of invitations, and the letters that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, meeting: Meeting, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[Invitation]:
        """List invitations, oldest first, from above `after`."""
        query = select(InvitationRow).where(InvitationRow.meeting_id == meeting.id)
        if after is not None:
            query = query.where(tuple_(InvitationRow.create_time, InvitationRow.id) > after)
        query = query.order_by(InvitationRow.create_time, InvitationRow.id).limit(limit)
        async with self._database.begin() as session:
            rows = (await session.execute(query)).scalars()
            return [_invitation(meeting, row) for row in rows]

    async def take(self, now: datetime, limit: int) -> list[tuple[UUID, int, Mail]]:
        """Take letters that are due, each with how often it was tried, this time included."""
        query = select(LetterRow).where(LetterRow.due_time <= now)
        query = query.order_by(LetterRow.due_time, LetterRow.id).limit(limit)
        async with self._database.begin() as session:
            rows = (await session.execute(query.with_for_update(skip_locked=True))).scalars().all()
            for row in rows:
                row.attempts += 1
                row.is_out, row.due_time = True, now + LEASE
            return [
                (
                    row.id,
                    row.attempts,
                    Mail(row.email, row.subject, row.text, row.calendar, row.method),
                )
                for row in rows
            ]

    async def done(self, letter_id: UUID, attempts: int, outcome: Outcome, now: datetime) -> bool:
        """Note what became of a letter; tells whether it is done with, be it given up."""
        again = tried_again(attempts) if outcome is Outcome.AWAY else None
        async with self._database.begin() as session:
            if (row := await session.get(LetterRow, letter_id)) is None:
                return True
            if again is not None:
                row.is_out, row.due_time = False, now + again
                return False
            where = InvitationRow.id == row.invitation_id
            state = InvitationState.SENT
            if outcome is not Outcome.DELIVERED:  # who had a letter before is still invited
                where &= InvitationRow.state == InvitationState.PENDING.value
                state = InvitationState.FAILED
            await session.execute(update(InvitationRow).where(where).values(state=state.value))
            await session.delete(row)
        return True

    async def prune(self, now: datetime) -> None:
        """Forget counts of days that are over."""
        old = now.date() - timedelta(days=COUNTED_DAYS)
        found = select(LetterCountRow.user_id, LetterCountRow.day)
        found = found.where(LetterCountRow.day < old).limit(PRUNED_AT_ONCE)
        where = tuple_(LetterCountRow.user_id, LetterCountRow.day).in_(found)
        async with self._database.begin() as session:
            await session.execute(delete(LetterCountRow).where(where))


def _invitation(meeting: Meeting, row: InvitationRow) -> Invitation:
    return Invitation(
        id=row.id,
        meeting_code=meeting.code,
        email=row.email,
        language=row.language,
        words=row.words,
        state=InvitationState(row.state),
        create_time=row.create_time,
    )


__all__ = ["InvitationStore", "Invitations"]
