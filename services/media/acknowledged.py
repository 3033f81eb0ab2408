"""What a peer's transport-wide feedback tells of what was sent to it, added up, in pure Python.

`native/acknowledged.c` does the same, compiled; one contract suite runs both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from services.media.delay import Group, Trend
from services.media.rtcp import read_transport_feedback

GROUP_MS = 5.0
"""Packets that left within so long are one group (draft-ietf-rmcat-gcc-02 §5.2)."""
RATE_MS, MIN_RATE_MS = 500.0, 250.0
"""Over how long it is measured what arrives; a span that is shorter counts as the second."""
LATEST_MS, MIN_LATEST_MS = 200.0, 100.0
"""The same for what arrives just now."""
MAX_RECENT = 256
"""Groups that are remembered at most: RATE_MS has 100 of them."""
MAX_LISTED, MAX_LISTED_PACKETS = 16, 1024
"""Feedbacks that are listed at most, packet by packet, and of how many packets one may be to be listed."""
MAX_BODY = 1500
"""Bytes."""

Packets = Sequence[tuple[int | None, float, int]]
"""Of each packet when it arrived (microseconds by the receiver's clock, None if it has not), when it left (seconds), its bytes."""


class Sent(Protocol):
    """Who knows what was sent; an `Outlet` does."""

    @property
    def number(self) -> int:
        """The transport-wide number of the next packet, unwrapped."""
        ...

    def sent(self, first: int, count: int) -> tuple[Sequence[float], Sequence[int]]:
        """Tell when packets left (seconds), and their bytes; both 0 where that is not known."""
        ...


class Acknowledged:
    """All that feedback has told so far.

    `received` and `lost` count packets, each as lost once at the most; `octets` are the bytes of both. `end` is the
    number after the last that was told of. `trend` is whether the delay grows, as `Trend.state`; `bps` is what arrives, by
    the receiver's clock, and no more than was sent in its time. While it `lists`, packets are kept one by one.
    """

    def __init__(self, sent: Sent) -> None:
        self.received = self.lost = self.octets = self.end = 0
        self.lists = False
        self._sent = sent
        self._trend = Trend()
        self._open: Group | None = None
        self._recent: deque[Group] = deque()
        self._recent_octets = 0
        self._listed: list[tuple[int, Packets]] = []

    @property
    def trend(self) -> int:
        """Whether the delay grows."""
        return self._trend.state

    @property
    def bps(self) -> float:
        """What arrives."""
        if not self._recent:
            return 0.0
        _, sent, arrived, octets = self._recent[0]
        _, last_sent, last_arrived, _ = self._recent[-1]
        span_ms = max(last_arrived - arrived, last_sent - sent, MIN_RATE_MS)
        return 8000 * (self._recent_octets - octets) / span_ms

    @property
    def latest_bps(self) -> float:
        """What arrives just now; while a queue grows, that is what the way carries."""
        if not self._recent:
            return 0.0
        first = last = self._recent[-1]
        octets = 0
        for group in reversed(self._recent):
            if group[2] < last[2] - LATEST_MS:
                break
            first = group
            octets += group[3]
        span_ms = max(last[2] - first[2], last[1] - first[1], MIN_LATEST_MS)
        return 8000 * (octets - first[3]) / span_ms

    def receive(self, body: bytes) -> None:
        """Read a feedback's body, and take it. Raises ValueError when it is none."""
        if len(body) > MAX_BODY:
            raise ValueError("too long")
        base, arrivals = read_transport_feedback(body)
        self.take(unwrapped(base, self._sent.number - 1), arrivals)

    def take(self, base: int, arrivals: Sequence[int | None]) -> None:
        """Take a feedback: when each packet has arrived, from number `base` on. One of which none has says nothing."""
        sent_at, sizes = self._sent.sent(base, len(arrivals))
        groups, received = _gather(arrivals, sent_at, sizes, self._open)
        if not received:
            return
        self._open = groups.pop()
        self.received += received
        self.lost += arrivals[max(0, self.end - base) :].count(None)
        self.octets += sum(sizes)
        self.end = max(self.end, base + len(arrivals))
        if groups:
            self._trend.receive(groups)
            self._remember(groups)
        is_short = len(arrivals) <= MAX_LISTED_PACKETS
        if self.lists and is_short and len(self._listed) < MAX_LISTED:
            self._listed.append((base, list(zip(arrivals, sent_at, sizes, strict=True))))

    def take_listed(self) -> list[tuple[int, Packets]]:
        """Take what was listed since the last time: of each feedback its first packet's number, and its packets."""
        listed, self._listed = self._listed, []
        return listed

    def _remember(self, groups: Sequence[Group]) -> None:
        recent = self._recent
        recent += groups
        self._recent_octets += sum(octets for _, _, _, octets in groups)
        since = recent[-1][2] - RATE_MS
        while recent[0][2] < since or len(recent) > MAX_RECENT:
            self._recent_octets -= recent.popleft()[3]


def _gather(
    arrivals: Sequence[int | None],
    sent_at: Sequence[float],
    sizes: Sequence[int],
    begun: Group | None,
) -> tuple[list[Group], int]:
    """Gather what has arrived by groups, of which the last may go on; `begun` is the one that may from before.

    Packets leave in the order of their numbers: none has left before the one that it follows.
    """
    if None in arrivals or 0 in sizes:
        every = zip(arrivals, sent_at, sizes, strict=True)
        known = [each for each in every if each[0] is not None and each[2]]
        arrivals, sent_at, sizes = zip(*known, strict=True) if known else ((), (), ())
    left = [1000 * each for each in sent_at]
    if left != sorted(left):
        left = [*accumulate(left, max)]
    groups = [begun] if begun is not None else []
    at = 0
    while at < len(left):
        is_new = not groups or left[at] > groups[-1][0] + GROUP_MS
        first, last, arrived, octets = (left[at], 0.0, 0.0, 0) if is_new else groups.pop()
        end = bisect_right(left, first + GROUP_MS, at)
        arrived = max(arrived, max(arrivals[at:end]) / 1000)
        groups.append((first, max(last, left[end - 1]), arrived, octets + sum(sizes[at:end])))
        at = end
    return groups, len(left)


def unwrapped(base: int, highest: int) -> int:
    """Unwrap a transport-wide number of 16 bits; `highest` is the one sent last, unwrapped."""
    return highest - (highest - base & 0xFFFF)


__all__ = ["GROUP_MS", "Acknowledged", "Packets", "Sent", "unwrapped"]
