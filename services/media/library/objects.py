"""Where files' bytes lie: a folder (`file:///path`) or a bucket of any S3 (`s3://bucket/prefix`), through obstore.

An object is there whole or not at all. Memory is bounded: PART_BYTES times PARTS_AT_ONCE for each upload.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, S3Store

PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller parts, but the last."""
PARTS_AT_ONCE = 1
READ_BYTES = 64 * 1024
SIGNED_FOR = timedelta(minutes=10)
"""How long a signed address opens; only Nginx sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """How an S3 is reached; empty values are left to the environment (as AWS's own tools read it)."""

    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""


class Objects:
    """An object store. Keys are made by us and hold no slashes."""

    def __init__(self, url: str, s3: S3 = S3()) -> None:  # frozen
        parts = urlsplit(url)
        self._folder = Path(parts.path) if parts.scheme == "file" else None
        self._store: Any = LocalStore(self._folder) if self._folder is not None else _s3(url, s3)

    @property
    def is_folder(self) -> bool:
        """Whether the files lie on this machine, where Nginx can read them."""
        return self._folder is not None

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of the pieces; when they end with an error, or the caller is cancelled, nothing is there.

        A cancelled upload is told to the pieces' reader: obstore itself would drop it, and leave its parts in the bucket.
        """
        source = _Stoppable(pieces)
        putting = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                key,
                source.pieces(),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        )
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            source.stop()
            await asyncio.wait([putting])
            if not putting.cancelled():
                putting.exception()  # asyncio complains of those that nobody asks for
            raise

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Read an object piece by piece. Raises FileNotFoundError."""
        found = await obstore.get_async(self._store, key)
        async for piece in found.stream(min_chunk_size=READ_BYTES):
            yield bytes(piece)

    async def delete(self, key: str) -> None:
        """Take an object away, and what a broken upload left of it. One that is not there is no error."""
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)
        if self._folder is not None:
            await asyncio.to_thread(_remove_parts, self._folder, key)

    async def signed(self, key: str) -> str:
        """Make an address at which whoever has it can read an object for a while (S3 alone)."""
        address: str = await obstore.sign_async(self._store, "GET", key, SIGNED_FOR)
        return address


class _Stoppable:
    """Pieces that end with an error when they are told to, even while the next one is awaited."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._reader: asyncio.Task[Any] | None = None
        self._stopped = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the pieces on; each may be asked for by a task of its own."""
        self._reader = asyncio.current_task()
        async for piece in self._pieces:
            self._reader = None
            yield piece
            self._check()
            self._reader = asyncio.current_task()
        self._reader = None
        self._check()

    def stop(self) -> None:
        """End them."""
        self._stopped = True
        if self._reader is not None:
            self._reader.cancel()

    def _check(self) -> None:
        if self._stopped:
            raise asyncio.CancelledError


def _s3(url: str, s3: S3) -> S3Store:
    given = {
        "endpoint": s3.endpoint,
        "region": s3.region,
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value}
    allow_http = s3.endpoint.startswith("http://")
    return S3Store.from_url(url, **options, client_options={"allow_http": allow_http})


def _remove_parts(folder: Path, key: str) -> None:
    for part in folder.glob(f"{key}#*"):
        part.unlink(missing_ok=True)


__all__ = ["S3", "Objects"]
