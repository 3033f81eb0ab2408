"""What a transport-wide feedback says of what was sent, in pure Python.

`native/feedback.c` does the same, compiled; one contract suite runs both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

GROUP_MS = 5.0
"""Packets that left within so long are one group (draft-ietf-rmcat-gcc-02 §5.2)."""

Group = tuple[float, float, float, float]
"""Packets that left together: when the first left, the last left, the last arrived (milliseconds), and their bytes."""


class Acknowledged(NamedTuple):
    """A feedback's packets, from number `base` to before `end` (unwrapped).

    `octets` are all their bytes. `lost` counts those that have not come, from the number on that was asked about. The first of `groups` goes on
    with the group that was said to be open, when it has the same beginning. `packets`, where asked for, has one by
    one when each arrived (microseconds by the receiver's clock, None if it has not), when it left (seconds), and its bytes.
    """

    base: int
    end: int
    received: int
    lost: int
    octets: int
    groups: Sequence[Group]
    packets: Sequence[tuple[int | None, float, int]]


def acknowledge(
    feedback: tuple[int, Sequence[int | None]],
    sent: tuple[Sequence[float], Sequence[int]],
    since: int,
    begun_ms: float,
    wants_packets: bool,
) -> Acknowledged:
    """Put together what arrived (`base`, and microseconds by number) with what was sent (seconds and bytes, by number).

    `since` is the number from which on losses count, `begun_ms` when the group left that is still open, below 0 for none.
    """
    base, arrivals = feedback
    sent_at, sizes = sent
    lost = arrivals[max(0, since - base) :].count(None)
    groups, received = _gather(arrivals, sent_at, sizes, begun_ms)
    packets = list(zip(arrivals, sent_at, sizes, strict=True)) if wants_packets else []
    return Acknowledged(base, base + len(arrivals), received, lost, sum(sizes), groups, packets)


def _gather(
    arrivals: Sequence[int | None], sent_at: Sequence[float], sizes: Sequence[int], begun: float
) -> tuple[list[Group], int]:
    groups: list[Group] = []
    begun_s = begun / 1000
    first, last, arrived, octets, received, is_open = begun, begun_s, 0, 0, 0, begun >= 0
    for arrival, sent, size in zip(arrivals, sent_at, sizes, strict=True):
        if arrival is None or not size:
            continue
        received += 1
        if sent != last or not octets:  # else it left with the one before
            if not is_open or 1000 * sent - first > GROUP_MS:
                if octets:
                    groups.append((first, 1000 * last, arrived / 1000, octets))
                first, last, arrived, octets, is_open = 1000 * sent, sent, arrival, 0, True
            elif sent > last:
                last = sent
        if arrival > arrived or not octets:
            arrived = arrival
        octets += size
    if octets:
        groups.append((first, 1000 * last, arrived / 1000, octets))
    return groups, received


def unwrapped(base: int, highest: int) -> int:
    """Unwrap a transport-wide number of 16 bits; `highest` is the one sent last, unwrapped."""
    return highest - (highest - base & 0xFFFF)


__all__ = ["GROUP_MS", "Acknowledged", "Group", "acknowledge", "unwrapped"]
