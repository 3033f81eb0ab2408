"""When a call that failed is made again, and after how long. Pure rules.

A call is made again only where that can't do its work twice: it was refused before anything was done, it only reads, it
sets what it sets whatever was before, or it has a `request_id`, by which the server knows it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import grpc
from parley.client._errors import ParleyError

JITTER = 0.25

_REPEATABLE = (
    *("Get", "List", "Search", "Download", "Export", "Watch", "Wait", "CatchUp"),
    *("Recognize", "Detect", "Summarize", "Translate", "Exchange"),
    *("Update", "Edit", "Set", "Vote", "Lock", "Unlock", "Mute", "Admit", "Deny"),
    *("Delete", "Remove", "Cancel", "Close", "End", "Leave", "Stop", "Revoke", "Drain", "Logout"),
)
"""How methods begin that may be repeated without a `request_id`. Those that make something are not among them."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How patiently calls are made again.

    `attempts` counts the first. Waits double from `first_delay` up to `longest_delay` (seconds), each varied by a
    quarter; where the server says how long to wait, that counts, and if it is longer than `longest_delay` the error is
    raised at once, with `retry_after`.
    """

    attempts: int = 5
    first_delay: float = 0.2
    longest_delay: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.first_delay <= self.longest_delay:
            raise ValueError("There is at least one attempt, and 0 < first_delay <= longest_delay.")

    def delay_after(self, failures: int, error: ParleyError) -> float | None:
        """Say how long to wait after so many failures in a row; None: give up."""
        if failures >= self.attempts:
            return None
        if error.retry_after is not None:
            if error.retry_after > self.longest_delay:
                return None
            return max(error.retry_after, self.first_delay) * _varied(1.0, 1.0 + JITTER)
        return self.backoff(failures)

    def backoff(self, failures: int) -> float:
        """Give the varied wait after so many failures in a row."""
        doubled = self.first_delay * 2.0 ** min(failures - 1, 32)
        return min(doubled, self.longest_delay) * _varied(1.0 - JITTER, 1.0 + JITTER)


def may_repeat(method: str, has_request_id: bool, error: ParleyError) -> bool:
    """Tell whether a call (`method` is its bare name) may be made again after this error."""
    if error.code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after is not None  # without, it is no limit that time lifts
    if error.code != grpc.StatusCode.UNAVAILABLE:
        return False
    return has_request_id or method.startswith(_REPEATABLE)


def _varied(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311  # only spreads who comes back


__all__ = ["Retries", "may_repeat"]
