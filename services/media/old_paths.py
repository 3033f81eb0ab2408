"""Where people have come from who have moved to this worker, as long as their old paths may be up there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.media.drain import NOTICE_SECONDS, SPREAD_SECONDS


class OldPaths:
    """Where rooms whose people have come to this worker have come from, as long as their paths may be up there."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def note(self, room: str, addresses: Sequence[str]) -> None:
        """Note the addresses of workers that a room, or a part of it, comes from."""
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        for address in addresses:
            self._until.setdefault((room, address), now + NOTICE_SECONDS + SPREAD_SECONDS)

    def addresses(self, room: str) -> list[str]:
        """List them."""
        now = time.monotonic()
        return [a for (name, a), until in self._until.items() if name == room and until > now]


__all__ = ["OldPaths"]
