"""Who may guess: asked before every password and code, told when it was right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from chassis.clock import Clock
from services.user.credentials.guess_store import GuessStore
from services.user.credentials.guessing import ACCOUNT, ADDRESS, CODE, Counter, password_counters
from services.user.origin import Origin

NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A password that is being tried."""

    counters: Sequence[Counter]


class Guard:
    """Lets people guess so often, and no more."""

    def __init__(self, store: GuessStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def admit(self, identifier: str, user_id: UUID | None, origin: Origin) -> Attempt:
        """Let somebody try a password; `user_id`: whose, if anybody's. Raises TooManySignIns."""
        account = user_id or NOBODY
        known = await self._store.is_known(account, origin.network)
        counters = password_counters(identifier, str(account), origin.network, known=known)
        await self._store.charge(counters, self._clock.now())
        return Attempt(counters)

    async def right(self, attempt: Attempt) -> None:
        """Take a guess back: the password was right."""
        await self._store.forgive(*attempt.counters)

    async def know(self, user_id: UUID, origin: Origin) -> None:
        """Remember from where an account has signed in: from there it does, whatever is guessed elsewhere."""
        await self._store.remember(user_id, origin.network, self._clock.now())

    async def mail(self, origin: Origin) -> None:
        """Let somebody have a mail sent to whomever. Raises TooManySignIns."""
        if origin.network:
            await self._store.charge(
                [Counter(f"mail {origin.network}", ADDRESS)], self._clock.now()
            )

    @asynccontextmanager
    async def own_password(self, user_id: UUID) -> AsyncIterator[None]:
        """Let who is signed in try their password once more; it was right unless the block raises. Raises TooManySignIns."""
        async with self._counted(Counter(f"password {user_id}", ACCOUNT)):
            yield

    @asynccontextmanager
    async def code(self, user_id: UUID) -> AsyncIterator[None]:
        """Let a code be tried, after the password was right; it was right unless the block raises. Raises TooManySignIns."""
        async with self._counted(Counter(f"code {user_id}", CODE)):
            yield

    @asynccontextmanager
    async def _counted(self, counter: Counter) -> AsyncIterator[None]:
        await self._store.charge([counter], self._clock.now())
        yield
        await self._store.forgive(counter)


__all__ = ["Attempt", "Guard"]
