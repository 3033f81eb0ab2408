"""First answers, kept beside their effects: who repeats a request by its `request_id` gets the answer of the first time.

The answer is written in the transaction of the effect, so that there are both or neither, whenever a process dies. Within
`repeatable`, which looks whether there is an answer already, a servicer does what takes long, then opens `once` around
all that changes something and gives it the answer. Two calls with one id at the same time: the second waits for the first.

Whoever uses this has a table in a migration of its own:

    answers (method varchar(64), caller varchar(128), request_id uuid, digest bytea not null,
             answer bytea not null default '', create_time timestamptz not null default now(),
             primary key (method, caller, request_id)), with an index on create_time
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert

from chassis.auth import caller_name
from chassis.db import Database
from chassis.errors import AlreadyExists, DomainError

KEPT = timedelta(days=1)
PRUNED_AT_ONCE = 1000

ANSWERS = sa.Table(
    "answers",
    sa.MetaData(),
    sa.Column("method", sa.String(64), primary_key=True),
    sa.Column("caller", sa.String(128), primary_key=True),
    sa.Column("request_id", sa.Uuid, primary_key=True),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("create_time", sa.DateTime(timezone=True)),
)

A = TypeVar("A", bound=Message)


class RequestIdReused(AlreadyExists):
    """The request id was used before, for a request that says something else. Make a new id for each request."""

    reason = "REQUEST_ID_REUSED"
    message = "This request id was used for another request."


class Seal(Protocol):
    """Encrypts what must not be read in the database (cryptography's Fernet is one)."""

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt."""
        ...

    def decrypt(self, token: bytes) -> bytes:
        """Decrypt what was encrypted."""
        ...


@dataclass(slots=True)
class Turn(Generic[A]):
    """One try of a request; `answer` is the first time's, if there was one, else what is to be kept."""

    answer: A | None = None


class Answers:
    """The answers of a service, in its database.

    With a `seal` they are encrypted there: needed where they have secrets. With a `key` a request's digest tells nothing
    of the request to who reads the database: needed where requests have passwords.
    """

    def __init__(self, database: Database, seal: Seal | None = None, key: bytes = b"") -> None:
        self._database = database
        self._seal = seal
        self._key = key

    async def earlier(self, method: str, request: Any, kind: type[A]) -> A | None:
        """Find the answer that the caller got to the same request before; None: none yet. Raises RequestIdReused."""
        if not request.request_id:
            return None
        columns = (ANSWERS.c.digest, ANSWERS.c.answer)
        query = sa.select(*columns).where(_is(_key(method, request)))
        async with self._database.begin() as session:
            row = (await session.execute(query)).one_or_none()
        return None if row is None else self._read(row, request, kind)

    @asynccontextmanager
    async def once(self, method: str, request: Any, kind: type[A]) -> AsyncIterator[Turn[A]]:
        """Make one transaction of the block and keep its answer. Raises RequestIdReused.

        A turn that has an answer already must do nothing. Without a request id nothing is kept.
        """
        async with self._database.together() as session:
            if not request.request_id:
                yield Turn()
                return
            values = _key(method, request)
            claim = insert(ANSWERS).values(**values, digest=self._digest(request))
            claimed = await session.execute(
                claim.on_conflict_do_nothing().returning(ANSWERS.c.request_id)
            )
            if claimed.one_or_none() is None:
                query = sa.select(ANSWERS.c.digest, ANSWERS.c.answer).where(_is(values))
                row = (await session.execute(query)).one()
                yield Turn(self._read(row, request, kind))
                return
            turn: Turn[A] = Turn()
            yield turn
            if turn.answer is None:
                raise TypeError(f"{method} has done something and answers nothing.")
            kept = turn.answer.SerializeToString()
            kept = kept if self._seal is None else self._seal.encrypt(kept)
            await session.execute(sa.update(ANSWERS).where(_is(values)).values(answer=kept))

    async def repeatable(
        self, method: str, request: Any, kind: type[A], work: Callable[[], Awaitable[A]]
    ) -> A:
        """Answer as the first time, or do the work, which has `once` in it.

        Work that fails since its twin was faster (the password is changed already) has the twin's answer, too.
        """
        if (first := await self.earlier(method, request, kind)) is not None:
            return first
        try:
            return await work()
        except DomainError:
            if (first := await self.earlier(method, request, kind)) is not None:
                return first
            raise

    async def prune(self) -> int:
        """Forget some of the answers that are more than a day old; returns how many."""
        old = sa.select(ANSWERS.c.method, ANSWERS.c.caller, ANSWERS.c.request_id)
        old = old.where(ANSWERS.c.create_time < sa.func.now() - KEPT).limit(PRUNED_AT_ONCE)
        where = sa.tuple_(ANSWERS.c.method, ANSWERS.c.caller, ANSWERS.c.request_id).in_(old)
        async with self._database.begin() as session:
            gone = await session.execute(
                sa.delete(ANSWERS).where(where).returning(ANSWERS.c.request_id)
            )
            return len(gone.all())

    def _read(self, row: Any, request: Message, kind: type[A]) -> A:
        if row.digest != self._digest(request):
            raise RequestIdReused
        return kind.FromString(row.answer if self._seal is None else self._seal.decrypt(row.answer))

    def _digest(self, request: Message) -> bytes:
        said = request.SerializeToString(deterministic=True)
        return hashlib.blake2b(said, digest_size=32, key=self._key).digest()


def _key(method: str, request: Any) -> dict[str, Any]:
    caller = caller_name()
    return {"method": method, "caller": caller, "request_id": UUID(request.request_id)}


def _is(values: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(ANSWERS.c[name] == value for name, value in values.items()))


__all__ = ["ANSWERS", "Answers", "RequestIdReused", "Seal", "Turn"]
