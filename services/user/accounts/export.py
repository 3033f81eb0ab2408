"""A copy of all that the server keeps of somebody, as a ZIP archive that is written while it is read.

What the user service keeps comes first, then what the others say of meetings and files: JSON, and the files as they are.
No secrets are in it, not even as hashes. No more than a page of anything is held at a time.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import IO, Any
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from sqlalchemy import select

from chassis.db import Database
from services.user.accounts.avatar_store import AvatarRow
from services.user.audit import AuditLog, Wanted
from services.user.credentials.store import TotpRow
from services.user.neighbours import Neighbours
from services.user.programs.store import ApiKeyRow
from services.user.sessions.identity_store import IdentityRow
from services.user.store import SessionRow, UserRow, verified_address

TABLES: tuple[tuple[str, Any, Any], ...] = (
    ("account", UserRow, UserRow.id),
    ("sessions", SessionRow, SessionRow.user_id),
    ("api_keys", ApiKeyRow, ApiKeyRow.user_id),
    ("identities", IdentityRow, IdentityRow.user_id),
    ("second_factor", TotpRow, TotpRow.user_id),
)
SECRET = frozenset({"password_hash", "secret_hash", "sealed_secret"})
AUDIT_PAGE = 500
PIECE = 64 * 1024
NAME_LIMIT = 100

Record = Mapping[str, Any]


class Exporter:
    """Writes archives."""

    def __init__(self, database: Database, audit: AuditLog, neighbours: Neighbours) -> None:
        self._database = database
        self._audit = audit
        self._neighbours = neighbours

    async def archive(self, user_id: UUID) -> AsyncIterator[bytes]:
        """Write a user's archive, in pieces. Raises what the other services answer."""
        with _Archive() as archive:
            async for name, records in self._records(user_id):
                archive.add(name, records)
                for piece in archive.taken():
                    yield piece
            archive.end()
            async with self._database.begin() as session:
                avatar = await session.get(AvatarRow, user_id)
            if avatar is not None:
                archive.begin("avatar.webp").write(avatar.picture)
            async for media in self._neighbours.media(user_id):
                entry = archive.begin(_path(media.name, media.display_name))
                async for part in self._neighbours.download(user_id, media.name):
                    entry.write(part)
                    for piece in archive.taken():
                        yield piece
        for piece in archive.taken():
            yield piece

    async def _records(self, user_id: UUID) -> AsyncIterator[tuple[str, Iterable[Record]]]:
        """Give all records of what is kept, a page at a time; pages of one kind follow each other."""
        async with self._database.begin() as session:
            own = {
                name: list((await session.execute(select(kind).where(of == user_id))).scalars())
                for name, kind, of in TABLES
            }
        for name, rows in own.items():
            yield name, map(_plain, rows)
        async for events in self._done(user_id):
            yield "audit_events", events
        yield "meetings", ()
        async for meeting in self._neighbours.meetings(user_id):
            yield "meetings", [MessageToDict(meeting)]
        address = verified_address(own["account"][0]) if own["account"] else ""
        async for page in self._neighbours.person(user_id, address):
            yield page.kind, map(MessageToDict, page.records)
        yield "files", ()
        async for media in self._neighbours.media(user_id):
            yield "files", [MessageToDict(media)]

    async def _done(self, user_id: UUID) -> AsyncIterator[list[Record]]:
        """What the user has done, as the audit log has it: pages, the last of which is empty."""
        before = None
        while True:
            events = await self._audit.page(Wanted(f"users/{user_id}"), before, AUDIT_PAGE)
            yield [
                {
                    "time": event.time,
                    "action": event.action,
                    "subject": event.subject,
                    "details": event.details,
                }
                for event in events
            ]
            if not events:
                return
            before = (events[-1].time, events[-1].id)


class _Archive:
    """A ZIP archive of which what is written is taken bit by bit. One entry at a time is written to."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)
        self._entry: IO[bytes] | None = None
        self._list = ""
        self._is_empty = True

    def __enter__(self) -> _Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        if error is None:
            self._zip.close()

    def begin(self, path: str) -> IO[bytes]:
        """Begin an entry, after the one before it."""
        self._close()
        entry = zipfile.ZipInfo(path, datetime.now().timetuple()[:6])  # noqa: DTZ005  # ZIP knows no zones
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._entry = self._zip.open(entry, "w", force_zip64=True)
        return self._entry

    def add(self, name: str, records: Iterable[Record]) -> None:
        """Add records to the list `name`, which is `{name}.json`; the list before it has ended."""
        if self._list != name:
            self.end()
            self.begin(f"{name}.json").write(b"[")
            self._list, self._is_empty = name, True
        if self._entry is None:
            raise TypeError("A list that has begun has an entry.")
        for record in records:
            written = json.dumps(record, default=str, ensure_ascii=False, indent=1)
            self._entry.write((b"\n" if self._is_empty else b",\n") + written.encode())
            self._is_empty = False

    def end(self) -> None:
        """End the list that is under way."""
        if self._list and self._entry is not None:
            self._entry.write(b"\n]\n")
        self._list = ""

    def taken(self) -> Iterator[bytes]:
        """Take what is written and was not taken, in pieces of at most PIECE bytes."""
        return self._sink.taken()

    def _close(self) -> None:
        if self._entry is not None:
            self._entry.close()
        self._entry = None


class _Sink(io.RawIOBase):
    """Holds what is written until it is taken; what can't be sought in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def taken(self) -> Iterator[bytes]:
        """Take what is held, in pieces of at most PIECE bytes."""
        held, self._held = bytes(self._held), bytearray()
        for at in range(0, len(held), PIECE):
            yield held[at : at + PIECE]


def _plain(row: Any) -> Record:
    names = [column.name for column in row.__table__.columns if column.name not in SECRET]
    return {name: getattr(row, name) for name in names}


def _path(name: str, display_name: str) -> str:
    """Name a file in the archive: by its id, so that no two are one and none leaves the folder."""
    safe = re.sub(r"[^\w.-]", "_", display_name)[-NAME_LIMIT:]
    return f"files/{name.removeprefix('media/')}-{safe}"


__all__ = ["Exporter"]
