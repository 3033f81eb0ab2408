"""The media library's files in Postgres.

A row is `pending` while its bytes come, `ready` once they are all there, `deleting` until they are gone: so nothing half
is ever seen, and what a dead process left is found by its state. What an owner may have is counted under the owner's lock.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, String, delete, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import Database
from services.media.library.domain import (
    Media,
    MediaNotFound,
    QuotaExceeded,
    TooManyUploads,
    UploadUnderWay,
)

UPLOADS_AT_ONCE = 8
"""How many uploads one owner may have under way."""

PENDING, READY, DELETING = "pending", "ready", "deleting"


class Base(DeclarativeBase):
    """The tables of parley_media."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class MediaRow(Base):
    """A file, or one that is coming or going."""

    __tablename__ = "media"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(String(16))
    display_name: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(127))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    create_time: Mapped[datetime]
    touch_time: Mapped[datetime]
    request_id: Mapped[UUID | None]


class LibraryStore:
    """What the media library keeps, beside the bytes. `quota_bytes` is what one owner may have."""

    def __init__(self, database: Database, quota_bytes: int) -> None:
        self._database = database
        self._quota_bytes = quota_bytes

    async def begin(
        self,
        media_id: UUID,
        owner_id: UUID,
        display_name: str,
        now: datetime,
        request_id: UUID | None = None,
    ) -> int | Media:
        """Note that a file comes; returns how many bytes its owner has left, or what the same request has brought before.

        Raises QuotaExceeded, TooManyUploads, UploadUnderWay.
        """
        async with self._database.begin() as session:
            await _lock_owner(session, owner_id)
            if request_id is not None and (first := await _first(session, owner_id, request_id)):
                return first
            left = self._quota_bytes - await _used(session, owner_id)
            if left <= 0:
                raise QuotaExceeded
            mine = (MediaRow.owner_id == owner_id) & (MediaRow.state == PENDING)
            coming = await session.scalar(select(func.count()).where(mine))
            if (coming or 0) >= UPLOADS_AT_ONCE:
                raise TooManyUploads(retry_after=5.0)
            session.add(
                MediaRow(
                    id=media_id,
                    owner_id=owner_id,
                    state=PENDING,
                    display_name=display_name,
                    content_type="",
                    size_bytes=0,
                    sha256="",
                    create_time=now,
                    touch_time=now,
                    request_id=request_id,
                )
            )
            return left

    async def touch(self, media_id: UUID, now: datetime) -> None:
        """Note that a file is still coming."""
        async with self._database.begin() as session:
            where = MediaRow.id == media_id
            await session.execute(update(MediaRow).where(where).values(touch_time=now))

    async def finish(self, media: Media) -> None:
        """Make a file that has come visible. Raises QuotaExceeded; MediaNotFound if it was given up meanwhile."""
        async with self._database.begin() as session:
            await _lock_owner(session, media.owner_id)
            if await _used(session, media.owner_id) + media.size_bytes > self._quota_bytes:
                raise QuotaExceeded
            values = {
                "state": READY,
                "content_type": media.content_type,
                "size_bytes": media.size_bytes,
                "sha256": media.sha256,
            }
            where = (MediaRow.id == media.id) & (MediaRow.state == PENDING)
            done = await session.execute(
                update(MediaRow).where(where).values(values).returning(MediaRow.id)
            )
            if done.scalar_one_or_none() is None:
                raise MediaNotFound

    async def get(self, media_id: UUID, owner_id: UUID | None = None) -> Media:
        """Read a file, of its owner's where one is given. Raises MediaNotFound."""
        where = (MediaRow.id == media_id) & (MediaRow.state == READY)
        if owner_id is not None:
            where &= MediaRow.owner_id == owner_id
        async with self._database.begin() as session:
            found = await session.scalar(select(MediaRow).where(where))
            if found is None:
                raise MediaNotFound
            return _to_media(found)

    async def page(
        self, owner_id: UUID, size: int, after: tuple[datetime, UUID] | None
    ) -> list[Media]:
        """Read up to `size` of an owner's files, the newest first, from the one after `after` on."""
        where = (MediaRow.owner_id == owner_id) & (MediaRow.state == READY)
        if after is not None:
            where &= tuple_(MediaRow.create_time, MediaRow.id) < after
        newest = (MediaRow.create_time.desc(), MediaRow.id.desc())
        async with self._database.begin() as session:
            rows = await session.scalars(
                select(MediaRow).where(where).order_by(*newest).limit(size)
            )
            return [_to_media(row) for row in rows]

    async def hide(self, media_id: UUID, owner_id: UUID, now: datetime) -> None:
        """Begin to delete a file: nobody sees it any more. Raises MediaNotFound."""
        where = (MediaRow.id == media_id) & (MediaRow.owner_id == owner_id)
        async with self._database.begin() as session:
            done = await session.execute(
                update(MediaRow)
                .where(where & (MediaRow.state == READY))
                .values(state=DELETING, touch_time=now)
                .returning(MediaRow.id)
            )
            if done.scalar_one_or_none() is None:
                raise MediaNotFound

    async def give_up(self, media_id: UUID) -> bool:
        """Begin to delete a file that did not come, known or swept already; False when it is there after all."""
        this = MediaRow.id == media_id
        async with self._database.begin() as session:
            coming = update(MediaRow).where(this & (MediaRow.state != READY))
            await session.execute(coming.values(state=DELETING))
            return (
                await session.scalar(select(MediaRow.id).where(this & (MediaRow.state == READY)))
                is None
            )

    async def forget(self, media_id: UUID) -> None:
        """Drop the row of a file whose bytes are gone."""
        where = (MediaRow.id == media_id) & (MediaRow.state == DELETING)
        async with self._database.begin() as session:
            await session.execute(delete(MediaRow).where(where))

    async def left_behind(self, before: datetime, limit: int = 100) -> list[UUID]:
        """List what is neither there nor gone, and was not touched since."""
        where = (MediaRow.state != READY) & (MediaRow.touch_time < before)
        async with self._database.begin() as session:
            return list(await session.scalars(select(MediaRow.id).where(where).limit(limit)))


async def _lock_owner(session: AsyncSession, owner_id: UUID) -> None:
    lock = {"lock": owner_id.int % 2**63}
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), lock)


async def _first(session: AsyncSession, owner_id: UUID, request_id: UUID) -> Media | None:
    """Read what a request has brought. Raises UploadUnderWay."""
    where = (MediaRow.owner_id == owner_id) & (MediaRow.request_id == request_id)
    row = await session.scalar(select(MediaRow).where(where & (MediaRow.state != DELETING)))
    if row is not None and row.state == PENDING:
        raise UploadUnderWay(retry_after=5.0)
    return None if row is None else _to_media(row)


async def _used(session: AsyncSession, owner_id: UUID) -> int:
    where = (MediaRow.owner_id == owner_id) & (MediaRow.state == READY)
    return int(await session.scalar(select(func.sum(MediaRow.size_bytes)).where(where)) or 0)


def _to_media(row: MediaRow) -> Media:
    return Media(
        id=row.id,
        owner_id=row.owner_id,
        display_name=row.display_name,
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        create_time=row.create_time,
    )


__all__ = ["UPLOADS_AT_ONCE", "LibraryStore"]
