"""What meetings keep of a person, in Postgres: read page by page, and forgotten meeting by meeting.

Nothing holds a transaction while its reader is slow. Of one who is forgotten each meeting gets a number of its own, so
that what stays there still hangs together, and nothing tells that two meetings had the same visitor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, tuple_, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.idempotency import ANSWERS
from services.meeting.breakouts.tables import OpeningRow, SeatRow
from services.meeting.events.tables import WebhookRow
from services.meeting.planning.tables import FeedRow, InvitationRow, LetterCountRow, LetterRow
from services.meeting.records.person_kinds import Kind, kinds_of
from services.meeting.room.tables import ChatRow, PollRow, VoteRow
from services.meeting.tables import BanRow, MeetingRow, ParticipantRow, SegmentRow
from services.meeting.transcripts.store import locked_transcript

PAGE = 100
NOBODY = "Deleted account"
"""What is shown where a name was."""

Record = Mapping[str, Any]


class PersonStore:
    """Finds, and forgets, what is kept of a person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def records(
        self, user_id: UUID, verified_email: str
    ) -> AsyncIterator[tuple[str, list[Record]]]:
        """Give all that is kept of an account, in pages of one kind; each kind has a page, be it empty."""
        for kind in kinds_of(user_id, verified_email):
            after: tuple[Any, ...] | None = None
            while True:
                page, last = await self._page(kind, after)
                if page or after is None:
                    yield kind.name, page
                if len(page) < PAGE:
                    break
                after = last

    async def _page(
        self, kind: Kind, after: tuple[Any, ...] | None
    ) -> tuple[list[Record], tuple[Any, ...]]:
        query = kind.query.with_only_columns(*kind.order, *kind.shown)
        if after is not None:
            query = query.where(tuple_(*kind.order) > after)
        async with self._database.begin() as session:
            rows = (await session.execute(query.order_by(*kind.order).limit(PAGE))).all()
        names, keys = [column.key for column in kind.shown], len(kind.order)
        page: list[Record] = [
            dict(zip(names, map(_plain, row[keys:]), strict=True)) for row in rows
        ]
        return page, tuple(rows[-1][:keys]) if rows else ()

    async def forget(self, user_id: UUID, verified_email: str, now: datetime) -> None:
        """Take away what an account said, and its name and id from what it did; it must host nothing any more."""
        while await self._forget_somewhere(user_id, now):
            pass
        async with self._database.begin() as session:
            for row, owner in _OWN:
                await session.execute(delete(row).where(owner == user_id))
            mine = ANSWERS.c.caller == f"users/{user_id}"
            await session.execute(delete(ANSWERS).where(mine))
            if verified_email:
                for letter in (InvitationRow, LetterRow):
                    addressed = func.lower(letter.email) == verified_email.lower()
                    await session.execute(delete(letter).where(addressed))

    async def _forget_somewhere(self, user_id: UUID, now: datetime) -> bool:
        """Forget an account in one of the meetings that know it; False: none does."""
        known = union_all(*(select(row.meeting_id).where(who == user_id) for row, who in _KNOWING))
        somewhere = select(MeetingRow.id).where(MeetingRow.id.in_(known)).limit(1)
        async with self._database.begin() as session:
            locked = await session.execute(somewhere.with_for_update())
            if (meeting_id := locked.scalar_one_or_none()) is None:
                return False
            await _forget_in(session, meeting_id, user_id, now)
            return True


_OWN = (
    (FeedRow, FeedRow.user_id),
    (LetterCountRow, LetterCountRow.user_id),
    (WebhookRow, WebhookRow.owner_id),
)
_KNOWING = (
    (ParticipantRow, ParticipantRow.user_id),
    (BanRow, BanRow.user_id),
    (SeatRow, SeatRow.user_id),
)


async def _forget_in(session: AsyncSession, meeting_id: UUID, user_id: UUID, now: datetime) -> None:
    """Forget an account in a meeting that is locked. Whoever has written, voted or spoken there has been there."""
    nobody = uuid4()
    mine = select(ParticipantRow.id).where(
        (ParticipantRow.meeting_id == meeting_id) & (ParticipantRow.user_id == user_id)
    )
    transcript = await locked_transcript(session, meeting_id, now)
    said = (SegmentRow.meeting_id == meeting_id) & SegmentRow.participant_id.in_(mine)
    gone = await session.execute(delete(SegmentRow).where(said).returning(SegmentRow.id))
    transcript.segment_count -= len(gone.all())
    await session.flush()
    written = {
        "sender_user_id": nobody,
        "sender_display_name": NOBODY,
        "text": "",
        "media": [],
        "delete_time": func.coalesce(ChatRow.delete_time, now),
        "request_id": None,
    }
    unknown: dict[str, Any] = {"user_id": nobody, "request_id": None}
    asked = {"creator_user_id": nobody, "request_id": None}
    polls = select(PollRow.id).where(PollRow.meeting_id == meeting_id)
    here = VoteRow.poll_id.in_(polls) & (VoteRow.user_id == user_id)
    await session.execute(update(VoteRow).where(here).values(user_id=nobody))
    for row, who, values in (
        (ChatRow, ChatRow.sender_user_id, written),
        (ChatRow, ChatRow.recipient_user_id, {"recipient_user_id": nobody}),
        (PollRow, PollRow.creator_user_id, asked),
        (OpeningRow, OpeningRow.user_id, {**unknown, "answer": b""}),
        (ParticipantRow, ParticipantRow.user_id, {**unknown, "display_name": NOBODY}),
    ):
        there = (row.meeting_id == meeting_id) & (who == user_id)
        await session.execute(update(row).where(there).values(values))
    for table in (SeatRow, BanRow):
        there = (table.meeting_id == meeting_id) & (table.user_id == user_id)
        await session.execute(delete(table).where(there))


def _plain(value: Any) -> Any:
    """Turn what a column has into what JSON has."""
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


__all__ = ["NOBODY", "PAGE", "PersonStore"]
