"""One peer's way out, and the lanes that lead to it, as the pure Python fan-out has them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from services.media.dtls import OutboundSrtp
from services.media.ice import Address

SENT = 4096
"""Packets of which a peer's congestion feedback can still be told when they were sent: two seconds at 20 Mbit/s."""

WIRE_BYTES = 44
"""What a packet takes beyond itself: the tag of AES-GCM, UDP, IPv4. On a narrow way that is much of what it carries."""


class Outlet:
    """One peer's way out. Without `srtp` or `address` its packets are dropped.

    `number` is the transport-wide sequence number of its next packet, unwrapped: so many have left. `octets` counts their SRTP.
    """

    __slots__ = ("_at", "_size", "address", "failed", "number", "octets", "srtp")

    def __init__(self) -> None:
        self.address: Address | None = None
        self.srtp: OutboundSrtp | None = None
        self.number = 0
        self.octets = 0
        self.failed = 0
        self._at = array("d", bytes(8 * SENT))
        self._size = array("H", bytes(2 * SENT))

    def sent(self, first: int, count: int) -> tuple[Sequence[float], Sequence[int]]:
        """Tell of `count` packets from `first` on when they were sent (as `now` was) and their bytes on the wire.

        Both are 0 where that is not known: not sent yet, or too long ago.
        """
        begin, end = first % SENT, first % SENT + count
        if max(0, self.number - SENT) <= first and first + count <= self.number and end <= SENT:
            return self._at[begin:end], self._size[begin:end]
        known = [max(0, self.number - SENT) <= n < self.number for n in range(first, first + count)]
        numbers = range(first, first + count)
        return (
            [
                self._at[n % SENT] if is_known else 0.0
                for n, is_known in zip(numbers, known, strict=True)
            ],
            [
                self._size[n % SENT] if is_known else 0
                for n, is_known in zip(numbers, known, strict=True)
            ],
        )


class Lane:
    """One track to one peer, under an SSRC of its own. Packets from before `begin` (extended) do not go this way.

    Offsets are added to the numbers of the packet: sequence, timestamp, VP8's picture id and TL0PICIDX.
    """

    __slots__ = (
        "begin",
        "octets",
        "offset",
        "outlet",
        "packets",
        "picture_offset",
        "ssrc",
        "timestamp_offset",
        "tl0_offset",
    )

    def __init__(self, outlet: Outlet, ssrc: int) -> None:
        self.outlet = outlet
        self.ssrc = ssrc
        self.begin = self.offset = self.timestamp_offset = 0
        self.picture_offset = self.tl0_offset = 0
        self.packets = 0
        self.octets = 0


__all__ = ["SENT", "Lane", "Outlet"]
