"""Passwords: argon2id, off the event loop, a bounded number at once.

Checking takes alike long whether or not the account exists: for one that does not, a hash of nothing that anybody
could type is checked instead.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.user.domain import TooManySignIns

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords in `threads` threads; more than `queue` waiting are refused."""

    def __init__(self, threads: int, queue: int) -> None:
        self._hasher = PasswordHasher()  # argon2-cffi's defaults: RFC 9106, low memory
        self._executor = ThreadPoolExecutor(threads, "argon2")
        self._room = threads + queue
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """Hash a password for keeping. Raises TooManySignIns."""
        return await self._run(self._hasher.hash, password)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Tell whether a password is the one whose hash was kept; `kept` is None for nobody's. Raises TooManySignIns."""
        good = await self._run(self._verify, kept or self._nobodys, password)
        return good and kept is not None

    def is_old(self, kept: str) -> bool:
        """Tell whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads go."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *arguments: str) -> T:
        if self._room == 0:
            raise TooManySignIns(retry_after=1.0)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, function, *arguments
            )
        finally:
            self._room += 1
