"""What happens in a room, as a program reads it; and the bounded log of it that readers follow.

The log keeps the newest events, `size` at most, read or not. A reader that falls so far behind that what it has not read
is dropped gets `Missed` in its place and goes on from the oldest that is kept: nobody waits for a slow reader, and nothing
is lost without a word.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from parley.client._errors import ParleyError
from parley.signaling.v1.signaling_pb2 import Joined, ServerMessage

SNAPSHOT = "snapshot"
MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `kind` is the name of ServerMessage's field that tells it, such as `chat_changed`."""

    kind: str
    sequence: int
    message: ServerMessage

    @property
    def body(self) -> Any:
        """Get the message of that kind, such as ChatChanged."""
        return getattr(self.message, self.kind)


@dataclass(frozen=True, slots=True)
class Snapshot(Event):
    """All that is true of the room at this sequence (`kind` is `snapshot`); the first event is one.

    `again` says that it is not the first: what was known before is void, and what happened meanwhile is not told one by
    one. Build everything anew from `joined`.
    """

    again: bool = False

    @property
    def joined(self) -> Joined:
        """Get everyone who is there, their tracks, and who speaks or raises a hand."""
        return self.message.joined

    @property
    def body(self) -> Joined:
        """Get the same as `joined`."""
        return self.joined


@dataclass(frozen=True, slots=True)
class Missed(Event):
    """The reader was too slow: so many events were dropped before it read them (`kind` is `missed`)."""

    count: int = 0

    @property
    def body(self) -> int:
        """Get the count."""
        return self.count


class Log:
    """The newest events of a room, numbered from 0; closed when the conversation is over."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("A log has room for an event at least.")
        self._kept: deque[Event] = deque(maxlen=size)
        self._end = 0
        self._closed = False
        self._error: ParleyError | None = None
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Append an event, at the cost of the oldest where there is no room."""
        self._kept.append(event)
        self._end += 1
        self._tell()

    def close(self, error: ParleyError | None = None) -> None:
        """End the log: readers read what is left, then end, or fail with the error."""
        self._closed = True
        self._error = error
        self._tell()

    def look(self, position: int) -> tuple[Event, int] | None:
        """Give the event at a position, with the position after it; None if there is none yet.

        Raises StopAsyncIteration at the end, and ParleyError at a bad one.
        """
        if position >= self._end:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            return None
        oldest = self._end - len(self._kept)
        if position < oldest:
            sequence = self._kept[0].sequence
            return Missed(MISSED, sequence, ServerMessage(), oldest - position), oldest
        return self._kept[position - oldest], position + 1

    async def changed(self) -> None:
        """Wait until there is another event, or the end."""
        await self._news.wait()

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()


class Reader(AsyncIterator[Event]):
    """Reads a log from its beginning; every loop goes on where the one before stopped."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._position = 0

    async def __anext__(self) -> Event:
        """Wait for the next event. Raises ParleyError where the conversation failed."""
        while (found := self._log.look(self._position)) is None:
            await self._log.changed()
        event, self._position = found
        return event


__all__ = ["MISSED", "SNAPSHOT", "Event", "Log", "Missed", "Reader", "Snapshot"]
