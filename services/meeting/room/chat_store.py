"""Chat in Postgres. What is written is written under the meeting's lock; what is read is not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_, select

from chassis.db import Database
from services.meeting.domain import HERE, OVER, Meeting, ParticipantNotFound
from services.meeting.room.chat import BURST, ChatMessage, ChatMessageNotFound
from services.meeting.room.tables import ChatRow
from services.meeting.settings import RETENTION_SECONDS
from services.meeting.store import MeetingTransaction
from services.meeting.tables import BanRow, MeetingRow, ParticipantRow, to_meeting
from services.meeting.transcripts.summary import PATIENCE

EXPIRED_AT_ONCE = 1_000
SHARED_AT_ONCE = 20


class Chat:
    """A meeting's chat, which nobody else can change meanwhile."""

    def __init__(self, transaction: MeetingTransaction) -> None:
        self._session = transaction.session
        self._meeting = transaction.meeting

    async def written_before(self, user_id: UUID, request_id: UUID) -> ChatMessage | None:
        """Find the message that an earlier call with the same request id wrote."""
        where = (ChatRow.sender_user_id == user_id) & (ChatRow.request_id == request_id)
        query = select(ChatRow).where(where & (ChatRow.meeting_id == self._meeting.id))
        row = (await self._session.execute(query)).scalar_one_or_none()
        return None if row is None else _message(self._meeting, row)

    async def count(self) -> int:
        """Count what was ever written."""
        query = select(func.max(ChatRow.position)).where(ChatRow.meeting_id == self._meeting.id)
        return (await self._session.execute(query)).scalar_one() or 0

    async def recent(self, user_id: UUID) -> list[datetime]:
        """Tell when an account last wrote, newest first, as often as it may in one burst."""
        where = (ChatRow.meeting_id == self._meeting.id) & (ChatRow.sender_user_id == user_id)
        query = select(ChatRow.create_time).where(where)
        query = query.order_by(ChatRow.position.desc()).limit(BURST)
        return list((await self._session.execute(query)).scalars())

    async def message(self, message_id: UUID) -> ChatMessage:
        """Read a message. Raises ChatMessageNotFound."""
        row = await self._session.get(ChatRow, message_id)
        if row is None or row.meeting_id != self._meeting.id:
            raise ChatMessageNotFound
        return _message(self._meeting, row)

    def add(self, message: ChatMessage, request_id: UUID | None) -> None:
        """Add a message."""
        values = {name: getattr(message, name) for name in _FIELDS}
        values["media"] = list(message.media)
        self._session.add(ChatRow(**values, meeting_id=self._meeting.id, request_id=request_id))

    async def change(self, message: ChatMessage) -> None:
        """Write what a message says now."""
        row = await self._session.get_one(ChatRow, message.id)
        row.text, row.media = message.text, list(message.media)
        row.edit_time, row.delete_time = message.edit_time, message.delete_time

    async def addressees(self, message: ChatMessage) -> list[str]:
        """Name the participants that are told of a message; `[""]` where everybody is."""
        if not message.is_private:
            return [""]
        names = await self.participants_here(message.readers)
        return [f"{self._meeting.name}/participants/{each}" for each in names]

    async def participants_here(self, user_ids: Iterable[UUID]) -> list[UUID]:
        """List the participants that some accounts have in the meeting now."""
        states = [state.value for state in HERE]
        where = ParticipantRow.user_id.in_(list(user_ids)) & ParticipantRow.state.in_(states)
        query = select(ParticipantRow.id).where(
            where & (ParticipantRow.meeting_id == self._meeting.id)
        )
        return list((await self._session.execute(query.order_by(ParticipantRow.id))).scalars())

    async def recipient(self, participant_id: UUID) -> UUID:
        """Find the account of somebody who is in the meeting. Raises ParticipantNotFound."""
        states = [state.value for state in HERE]
        where = (ParticipantRow.id == participant_id) & ParticipantRow.state.in_(states)
        query = select(ParticipantRow.user_id).where(
            where & (ParticipantRow.meeting_id == self._meeting.id)
        )
        if (user_id := (await self._session.execute(query)).scalar_one_or_none()) is None:
            raise ParticipantNotFound
        return user_id


class ChatStore:
    """What is kept of chat."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, meeting: Meeting, user_id: UUID, below: int | None, limit: int
    ) -> list[ChatMessage]:
        """List what an account may see, newest first, from below a position."""
        mine = or_(ChatRow.sender_user_id == user_id, ChatRow.recipient_user_id == user_id)
        where = (ChatRow.meeting_id == meeting.id) & (ChatRow.recipient_user_id.is_(None) | mine)
        if below is not None:
            where &= ChatRow.position < below
        query = select(ChatRow).where(where).order_by(ChatRow.position.desc()).limit(limit)
        async with self._database.begin() as session:
            return [_message(meeting, row) for row in (await session.execute(query)).scalars()]

    async def shared_in(self, media: str, owner_id: UUID, user_id: UUID) -> list[Meeting]:
        """List meetings in which a file's owner has put it into a message to an account, or to all who came.

        At most SHARED_AT_ONCE, the newest first, without those that it is kept out of.
        """
        sent = (ChatRow.media != []) & ChatRow.media.contains([media])
        sent &= ChatRow.sender_user_id == owner_id
        came = exists().where(
            (ParticipantRow.meeting_id == ChatRow.meeting_id)
            & (ParticipantRow.user_id == user_id)
            & ParticipantRow.connect_time.is_not(None)
        )
        to_all = ChatRow.recipient_user_id.is_(None) & or_(came, MeetingRow.host_id == user_id)
        is_banned = exists().where(
            (BanRow.meeting_id == ChatRow.meeting_id) & (BanRow.user_id == user_id)
        )
        is_sent = exists().where(
            (ChatRow.meeting_id == MeetingRow.id)
            & sent
            & or_(to_all, ChatRow.recipient_user_id == user_id)
            & ~is_banned
        )
        query = select(MeetingRow).where(is_sent)
        query = query.order_by(MeetingRow.create_time.desc()).limit(SHARED_AT_ONCE)
        async with self._database.begin() as session:
            return [to_meeting(row) for row in (await session.execute(query)).scalars()]

    async def let_go(self, now: datetime) -> int:
        """Delete some of what has been kept long enough; returns how many messages."""
        found = select(ChatRow.id).join(MeetingRow, MeetingRow.id == ChatRow.meeting_id)
        found = found.where(_is_over(now)).limit(EXPIRED_AT_ONCE)
        found = found.with_for_update(of=ChatRow, skip_locked=True)
        statement = delete(ChatRow).where(ChatRow.id.in_(found)).returning(ChatRow.id)
        async with self._database.begin() as session:
            return len((await session.execute(statement)).all())


def _is_over(now: datetime) -> ColumnElement[bool]:
    """Of a meeting that nobody ends each message is taken to be over PATIENCE after it was written."""
    seconds = MeetingRow.settings["chat_retention_seconds"].as_integer()
    kept_for = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(seconds, RETENTION_SECONDS))
    ended = MeetingRow.state.in_([state.value for state in OVER])
    return or_(
        ended & (MeetingRow.end_time + kept_for <= now),
        ~ended & (ChatRow.create_time + kept_for <= now - PATIENCE),
    )


_FIELDS = (
    "id",
    "position",
    "sender_id",
    "sender_user_id",
    "sender_display_name",
    "recipient_id",
    "recipient_user_id",
    "text",
    "reply_to",
    "create_time",
    "edit_time",
    "delete_time",
)


def _message(meeting: Meeting, row: ChatRow) -> ChatMessage:
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    return ChatMessage(meeting_code=meeting.code, media=tuple(row.media), **values)


__all__ = ["Chat", "ChatStore"]
