"""What a run counts, in a form that processes can add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Self

SUB_BITS = 5
"""A histogram's buckets are 1/32 wide: values are told to some 3 %."""


@dataclass(slots=True)
class Histogram:
    """Counts of whole numbers from 0 (microseconds, here), in buckets that widen with the value."""

    counts: dict[int, int] = field(default_factory=dict)
    most: int = 0

    def add(self, value: int) -> None:
        """Count a value; what is below 0 counts as 0."""
        value = max(value, 0)
        shift = max(value.bit_length() - SUB_BITS - 1, 0)
        bucket = (value >> shift) << shift
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.most = max(self.most, value)

    def quantile(self, share: float) -> int:
        """Find the value below which a share (0 to 1) of all lies; 0 when there is none."""
        rest = share * sum(self.counts.values())
        for bucket in sorted(self.counts):
            rest -= self.counts[bucket]
            if rest <= 0:
                return bucket
        return self.most

    def clear(self) -> None:
        """Begin anew."""
        self.counts.clear()
        self.most = 0

    def merge(self, other: Histogram) -> None:
        """Add another's counts."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.most = max(self.most, other.most)


@dataclass(slots=True)
class Figures:
    """What clients have done and seen. Packets are RTP packets; times are microseconds.

    `lost` are those that had not come a second after they were missed, `recovered` those that came when asked for,
    `late` those that came unasked but out of order, `probes` retransmissions of what had come before, `thinned` what
    the server left out without a gap (layers), `corrupt` payloads that differ from what was sent.
    """

    sent: int = 0
    sent_bytes: int = 0
    resent: int = 0
    unsent: int = 0
    keyframes: int = 0
    received: int = 0
    received_bytes: int = 0
    verified: int = 0
    recovered: int = 0
    late: int = 0
    lost: int = 0
    duplicates: int = 0
    probes: int = 0
    corrupt: int = 0
    thinned: int = 0
    switches: int = 0
    tracks: int = 0
    silent: int = 0
    joined: int = 0
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    join: Histogram = field(default_factory=Histogram)
    first_packet: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)

    @classmethod
    def total(cls, parts: Iterable[Figures]) -> Self:
        """Add up."""
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    def merge(self, other: Figures) -> None:
        """Add another's."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Histogram):
                mine.merge(theirs)
            else:
                setattr(self, each.name, mine + theirs)

    @property
    def loss_before(self) -> float:
        """The share of packets that did not come at first."""
        return (self.lost + self.recovered) / max(self.received + self.lost, 1)

    @property
    def loss_after(self) -> float:
        """The share of packets that never came."""
        return self.lost / max(self.received + self.lost, 1)

    def plain(self) -> dict[str, Any]:
        """Show it for JSON: counts, and quantiles in milliseconds."""
        shown: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Histogram):
                shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
                shown[f"{each.name}_ms"] = {
                    name: value.quantile(share) / 1000 for name, share in shares.items()
                }
            else:
                shown[each.name] = value
        return shown | {"loss_before": self.loss_before, "loss_after": self.loss_after}


__all__ = ["Figures", "Histogram"]
