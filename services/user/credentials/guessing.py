"""How long one waits after wrong guesses: longer each time, and never for good. Pure.

A guess is counted when it begins, and taken back when it was right, so that many at the same time are counted, too.
Where an account has signed in before, only what is guessed from there counts: nobody elsewhere can keep its owner out.
From anywhere else the wait has an end, and a new password by mail makes one known where one is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FORGOTTEN = timedelta(hours=6)
"""After so long without a guess all is forgotten."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` guesses cost nothing; then one waits a second, doubled with each guess up to `longest`."""

    free: int
    longest: timedelta


ACCOUNT = Rule(5, timedelta(minutes=15))
ADDRESS = Rule(30, timedelta(minutes=1))
"""Many people may be behind one address."""
CODE = Rule(5, timedelta(minutes=15))


@dataclass(frozen=True, slots=True)
class Counter:
    """Something whose guesses are counted together; the database sees a digest of its name."""

    name: str
    rule: Rule

    @property
    def key(self) -> bytes:
        """Under what it is kept."""
        return hashlib.blake2b(self.name.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Guesses:
    """How often was guessed, and when last."""

    count: int
    last: datetime

    def wait(self, rule: Rule, now: datetime) -> timedelta:
        """Tell how long until the next guess; nothing or less: now."""
        if self.count < rule.free or now - self.last >= FORGOTTEN:
            return timedelta(0)
        doubled = min(self.count - rule.free, 30)  # a day is past every limit, and an overflow far
        return self.last + min(timedelta(seconds=2**doubled), rule.longest) - now

    def charged(self, now: datetime) -> Guesses:
        """Count one more."""
        return Guesses(1 if now - self.last >= FORGOTTEN else self.count + 1, now)


def password_counters(
    identifier: str, account: str, network: str, *, known: bool
) -> Sequence[Counter]:
    """Say what is counted when a password is tried.

    `account` is whose it may be (empty: nobody's), `identifier` what was typed; names and addresses are counted apart, so
    that nothing tells which belong together. `known`: whether the account has signed in from `network` before.
    """
    if known:
        return (Counter(f"place {account} {network}", ACCOUNT),)
    counters = [Counter(f"account {identifier.lower()}", ACCOUNT)]
    if network:
        counters.append(Counter(f"address {network}", ADDRESS))
    return counters


__all__ = [
    "ACCOUNT",
    "ADDRESS",
    "CODE",
    "FORGOTTEN",
    "Counter",
    "Guesses",
    "Rule",
    "password_counters",
]
