"""Files on their way in and out of the media library: bytes to the object store, rows to Postgres, never one without the other.

The order is what keeps that true: a row before the bytes, visible after them; hidden before they go, dropped after. What a
dead process leaves in between is swept up by any other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from chassis import logs
from chassis.clock import Clock
from chassis.errors import Unavailable
from chassis.idempotency import RequestIdReused
from services.media.library.domain import (
    SNIFFED_BYTES,
    FileEmpty,
    FileTooLarge,
    FileTypeRefused,
    Media,
    QuotaExceeded,
    content_type,
)
from services.media.library.objects import Objects
from services.media.library.store import LibraryStore

TOUCH_SECONDS = 20.0
ABANDONED = timedelta(seconds=120)
"""An upload that was not touched for so long has no process any more."""
SWEEP_SECONDS = 60.0

log = logs.get("media.library")


class Library:
    """The files of all owners."""

    def __init__(
        self, store: LibraryStore, objects: Objects, clock: Clock, upload_limit_bytes: int
    ) -> None:
        self.store = store
        self.objects = objects
        self._clock = clock
        self._limit = upload_limit_bytes

    async def add(
        self,
        owner_id: UUID,
        display_name: str,
        pieces: AsyncIterator[bytes],
        request_id: UUID | None = None,
    ) -> Media:
        """Take a file in, or give the one that the same request has brought before.

        Raises the errors of domain.py, RequestIdReused; whatever is raised, nothing of the file stays.
        """
        media_id, now = uuid4(), self._clock.now()
        try:
            begun = await self.store.begin(media_id, owner_id, display_name, now, request_id)
            if isinstance(begun, Media):
                return await self._same(begun, display_name, pieces)
            coming = Media(media_id, owner_id, display_name, "", 0, "", now)
            return await self._receive(coming, begun, pieces)
        except BaseException:
            await asyncio.shield(self._discard(media_id))
            raise

    async def _same(self, first: Media, display_name: str, pieces: AsyncIterator[bytes]) -> Media:
        """See that a file that comes again is the first one, which is kept. Raises RequestIdReused."""
        incoming = _Incoming(pieces, self._limit, first.size_bytes)
        try:
            async for _ in incoming.checked():
                pass
        except (FileEmpty, FileTooLarge, FileTypeRefused, QuotaExceeded):
            raise RequestIdReused from None
        if (display_name, incoming.digest.hexdigest()) != (first.display_name, first.sha256):
            raise RequestIdReused
        return first

    async def _receive(self, coming: Media, left: int, pieces: AsyncIterator[bytes]) -> Media:
        media_id = coming.id
        incoming = _Incoming(pieces, self._limit, left)
        touching = asyncio.create_task(self._keep_touching(media_id))
        try:
            await self.objects.put(str(media_id), incoming.checked())
        except Exception:
            incoming.raise_if_refused()
            raise
        finally:
            touching.cancel()
        media = replace(
            coming,
            content_type=content_type(incoming.head),
            size_bytes=incoming.size,
            sha256=incoming.digest.hexdigest(),
        )
        await self.store.finish(media)
        return media

    async def remove(self, media_id: UUID, owner_id: UUID) -> None:
        """Delete a file of its owner's. Raises MediaNotFound."""
        await self.store.hide(media_id, owner_id, self._clock.now())
        await asyncio.shield(self._discard(media_id))

    async def keep_sweeping(self) -> None:
        """Delete, now and then and for ever, what dead processes left."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001  # the stores may be away: next time
                log.warning("library not swept", error=type(error).__name__)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Delete what was left behind; returns how many files."""
        found = await self.store.left_behind(self._clock.now() - ABANDONED)
        for media_id in found:
            await self._discard(media_id)
        return len(found)

    async def _discard(self, media_id: UUID) -> None:
        if await self.store.give_up(media_id):
            await self.objects.delete(str(media_id))
            await self.store.forget(media_id)

    async def _keep_touching(self, media_id: UUID) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            try:
                await self.store.touch(media_id, self._clock.now())
            except Unavailable as error:  # next time; the sweeper is patient
                log.warning("upload not touched", media_id=str(media_id), error=error.reason)


class _Incoming:
    """The bytes of a file as they come, counted, hashed and held to the limits.

    The object store may wrap what is raised while it reads: the refusal is kept here, to be raised as it was.
    """

    def __init__(self, pieces: AsyncIterator[bytes], limit: int, left: int) -> None:
        self.head = b""
        self.size = 0
        self.digest = hashlib.sha256()
        self._pieces = pieces
        self._limit = limit
        self._left = left
        self._refusal: BaseException | None = None

    async def checked(self) -> AsyncIterator[bytes]:
        """Give the pieces on. Raises FileEmpty, FileTooLarge, FileTypeRefused, QuotaExceeded."""
        try:
            async for piece in self._pieces:
                self._count(piece)
                yield piece
            if not self.size:
                raise FileEmpty
            content_type(self.head)
        except BaseException as refusal:
            self._refusal = refusal
            raise

    def raise_if_refused(self) -> None:
        """Raise what ended the pieces, if something did."""
        if self._refusal is not None and not isinstance(self._refusal, GeneratorExit):
            raise self._refusal

    def _count(self, piece: bytes) -> None:
        if len(self.head) < SNIFFED_BYTES:
            self.head = (self.head + piece)[:SNIFFED_BYTES]
        self.size += len(piece)
        self.digest.update(piece)
        if self.size > self._limit:
            raise FileTooLarge
        if self.size > self._left:
            raise QuotaExceeded


__all__ = ["Library"]
