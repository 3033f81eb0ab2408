"""A copy of all that the server keeps of somebody, as a ZIP archive that is written while it is read.

What the user service keeps comes first, then what the others say of meetings and files: JSON, and the files as they are.
No secrets are in it, not even as hashes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from sqlalchemy import select

from chassis.db import Database
from services.user.api_key_store import ApiKeyRow
from services.user.audit import AuditLog, Wanted
from services.user.avatar_store import AvatarRow
from services.user.identity_store import IdentityRow
from services.user.neighbours import Neighbours
from services.user.store import SessionRow, UserRow

TABLES: tuple[tuple[str, Any, Any], ...] = (
    ("account", UserRow, UserRow.id),
    ("sessions", SessionRow, SessionRow.user_id),
    ("api_keys", ApiKeyRow, ApiKeyRow.user_id),
    ("identities", IdentityRow, IdentityRow.user_id),
)
SECRET = frozenset({"password_hash", "secret_hash"})
AUDIT_PAGE = 500
PIECE = 64 * 1024
NAME_LIMIT = 100


class Exporter:
    """Writes archives."""

    def __init__(self, database: Database, audit: AuditLog, neighbours: Neighbours) -> None:
        self._database = database
        self._audit = audit
        self._neighbours = neighbours

    async def archive(self, user_id: UUID) -> AsyncIterator[bytes]:
        """Write a user's archive, in pieces. Raises what the other services answer."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            async for name, content in self._own(user_id):
                archive.writestr(name, content)
                for piece in sink.taken():
                    yield piece
            meetings = [each async for each in self._neighbours.meetings(user_id)]
            archive.writestr("meetings.json", _json(map(MessageToDict, meetings)))
            media = [each async for each in self._neighbours.media(user_id)]
            archive.writestr("files.json", _json(map(MessageToDict, media)))
            for file in media:
                path = _path(file.name, file.display_name)
                entry = zipfile.ZipInfo(path, datetime.now().timetuple()[:6])  # noqa: DTZ005  # ZIP knows no zones
                with archive.open(entry, "w", force_zip64=True) as written:
                    async for piece in self._neighbours.download(user_id, file.name):
                        written.write(piece)
                        for done in sink.taken():
                            yield done
        for piece in sink.taken():
            yield piece

    async def _own(self, user_id: UUID) -> AsyncIterator[tuple[str, bytes]]:
        async with self._database.begin() as session:
            kept = {
                name: [
                    _plain(row)
                    for row in (await session.execute(select(kind).where(of == user_id))).scalars()
                ]
                for name, kind, of in TABLES
            }
            avatar = await session.get(AvatarRow, user_id)
        for name, rows in kept.items():
            yield f"{name}.json", _json(rows)
        if avatar is not None:
            yield "avatar.webp", avatar.picture
        yield "audit_events.json", _json([event async for event in self._done(user_id)])

    async def _done(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        """What the user has done, as the audit log has it."""
        before = None
        while events := await self._audit.page(Wanted(f"users/{user_id}"), before, AUDIT_PAGE):
            for event in events:
                yield {
                    "time": event.time,
                    "action": event.action,
                    "subject": event.subject,
                    "details": event.details,
                }
            before = (events[-1].time, events[-1].id)


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


def _plain(row: Any) -> dict[str, Any]:
    names = [column.name for column in row.__table__.columns if column.name not in SECRET]
    return {name: getattr(row, name) for name in names}


def _json(value: Any) -> bytes:
    items = value if isinstance(value, list) else list(value)
    return json.dumps(items, default=str, ensure_ascii=False, indent=1).encode()


def _path(name: str, display_name: str) -> str:
    """Name a file in the archive: by its id, so that no two are one and none leaves the folder."""
    safe = re.sub(r"[^\w.-]", "_", display_name)[-NAME_LIMIT:]
    return f"files/{name.removeprefix('media/')}-{safe}"


__all__ = ["Exporter"]
