"""An account's second factor: asked for when one signs in, and before it is changed.

A code is checked first, which is counted as a guess, and then taken in the transaction of what it allows: so it is used up
when that has happened, and not when it has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.user.credentials.guard import Guard
from services.user.credentials.rules import (
    CodeRequired,
    TotpDisabled,
    TotpEnabled,
    TotpNotBegun,
    WrongCode,
)
from services.user.credentials.store import CredentialStore
from services.user.credentials.totp import (
    Factor,
    new_recovery_codes,
    new_totp_secret,
    recovery_hash,
    step_of,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """A code that is right: the app's of a half minute, or a recovery code."""

    user_id: UUID
    step: int = 0
    recovery_hash: bytes = b""


class SecondFactor:
    """Checks codes, each of which works once."""

    def __init__(self, store: CredentialStore, guard: Guard) -> None:
        self._store = store
        self._guard = guard

    async def asked(self, user_id: UUID, code: str, now: datetime) -> Proof | None:
        """Check the code of who signs in; None where the account wants none. Raises CodeRequired and what `checked` does."""
        factor = await self._store.factor(user_id)
        if factor is None or not factor.enabled:
            return None
        if not code:
            raise CodeRequired
        return await self._checked(user_id, factor, code, now)

    async def checked(self, user_id: UUID, code: str, now: datetime) -> Proof:
        """Check the code of who changes the second factor. Raises TotpDisabled, WrongCode, TooManySignIns."""
        factor = await self._store.factor(user_id)
        if factor is None or not factor.enabled:
            raise TotpDisabled
        return await self._checked(user_id, factor, code, now)

    async def checked_first(self, user_id: UUID, code: str, now: datetime) -> Proof:
        """Check the first code of a secret that was begun. Raises TotpNotBegun, WrongCode, TooManySignIns."""
        factor = await self._store.factor(user_id)
        if factor is None or factor.enabled:
            raise TotpNotBegun
        async with self._guard.code(user_id):
            if (step := step_of(factor, code, now)) is None:
                raise WrongCode
        return Proof(user_id, step)

    async def take(self, proof: Proof | None, *, enable: bool = False) -> None:
        """Use a code up. Raises WrongCode where somebody was faster with it."""
        if proof is None:
            return
        if proof.recovery_hash:
            taken = await self._store.use_recovery_code(proof.user_id, proof.recovery_hash)
        else:
            taken = await self._store.take_step(proof.user_id, proof.step, enable=enable)
        if not taken:
            raise WrongCode

    async def begin(self, user_id: UUID) -> str:
        """Make a secret that is not in use yet. Raises TotpEnabled."""
        secret = new_totp_secret()
        if not await self._store.begin_factor(user_id, Factor(secret, enabled=False)):
            raise TotpEnabled
        return secret

    async def new_recovery_codes(self, user_id: UUID) -> list[str]:
        """Make new recovery codes; the old ones are good no longer."""
        codes = new_recovery_codes()
        await self._store.set_recovery_codes(user_id, map(recovery_hash, codes))
        return codes

    async def _checked(self, user_id: UUID, factor: Factor, code: str, now: datetime) -> Proof:
        async with self._guard.code(user_id):
            if (step := step_of(factor, code, now)) is not None:
                return Proof(user_id, step)
            hashed = recovery_hash(code)
            if await self._store.has_recovery_code(user_id, hashed):
                return Proof(user_id, recovery_hash=hashed)
            raise WrongCode


__all__ = ["Proof", "SecondFactor"]
