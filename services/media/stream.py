"""One source (SSRC) of a publisher's, in pure Python: counted, laid out for its subscribers, kept, and sent along its lanes.

`native/stream.c` does the same, compiled; one contract suite runs both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from services.media import payload, rtp
from services.media.dtls import MAX_SRTP_PACKET
from services.media.outlet import Lane
from services.media.payload import NO_NUMBERS, Vp8Numbers
from services.media.sdp import AUDIO_LEVEL, FORWARDED_EXTENSIONS, OPUS, RED_PAYLOAD_TYPE

if TYPE_CHECKING:
    from services.media.fanout import Fanout

HISTORY = 512
"""Packets kept for retransmission: some three seconds of video at 1.5 Mbit/s."""
RTX_OVERHEAD = 2
SILENCE = 127
"""The audio level of silence, in -dBov (RFC 6464 §3)."""
LEVEL_ID = FORWARDED_EXTENSIONS[AUDIO_LEVEL]


class Kept(NamedTuple):
    """A packet as it was forwarded, but for what differs from lane to lane."""

    extended: int
    packet: bytearray
    payload_at: int
    timestamp: int
    numbers: Vp8Numbers

    def plain(self) -> bytearray:
        """Make the packet without redundant audio, for those who can't read that."""
        if self.packet[1] & 0x7F != RED_PAYLOAD_TYPE:
            return bytearray(self.packet)
        head = self.packet[: self.payload_at]
        head[1] = head[1] & 0x80 | OPUS.payload_type
        return head + payload.red_primary(bytes(self.packet[self.payload_at :]))


OnPacket = Callable[[Kept, int, float], None]
"""Gets a packet before it goes on, the highest number before it came (-1 for the first), and when it came."""


class Stream:
    """What one SSRC brings. Sequence numbers are extended: they count on where 16 bits wrap.

    `on_packet` gets each packet while `is_watched`, and always one that does not follow the one before it. `highest` is
    the number of the newest packet, and `timestamp`, `picture`, `tl0` are its; `jitter` is in units of the clock rate
    (RFC 3550 §6.4.1); `level` is that of the last sound, in -dBov; `last_at` is when the last packet came.
    """

    __slots__ = (
        "_clock_rate",
        "_extensions",
        "_fanout",
        "_has_level",
        "_history",
        "_is_vp8",
        "_on_packet",
        "_payload_types",
        "_transit",
        "_transport_extension",
        "first",
        "frames",
        "highest",
        "is_watched",
        "jitter",
        "lanes",
        "last_at",
        "level",
        "octets",
        "packets",
        "picture",
        "timestamp",
        "tl0",
    )

    def __init__(
        self, fanout: Fanout, clock_rate: int, is_vp8: bool, on_packet: OnPacket, last_at: float
    ) -> None:
        self.lanes: list[Lane] = []
        self.is_watched = False
        self.highest = -1
        self.first = 0
        self.packets = self.octets = self.frames = 0
        self.timestamp = self.picture = self.tl0 = 0
        self.jitter = 0.0
        self.level = SILENCE
        self.last_at = last_at
        self._fanout = fanout
        self._clock_rate = clock_rate
        self._is_vp8 = is_vp8
        self._on_packet = on_packet
        self._payload_types: Mapping[int, int] = {}
        self._extensions: Mapping[int, int] = {}
        self._transport_extension = 0
        self._has_level = False
        self._transit: float | None = None
        self._history: list[Kept | None] = [None] * HISTORY

    def read_by(
        self, payload_types: Mapping[int, int], extensions: Mapping[int, int], transport: int
    ) -> None:
        """Say how the publisher writes: its payload types and header extensions' ids, and what we make of each.

        `transport` is its id for the transport-wide sequence number, or 0. Before, all packets are invalid.
        """
        self._payload_types, self._extensions = dict(payload_types), dict(extensions)
        self._transport_extension = transport
        self._has_level = LEVEL_ID in self._extensions.values()

    def receive(self, datagram: bytes, now: float) -> int:
        """Take a packet; returns its transport-wide sequence number, or -1. Raises PacketInvalid."""
        payload_type = self._payload_types.get(datagram[1] & 0x7F) if len(datagram) > 1 else None
        if payload_type is None:
            raise rtp.PacketInvalid
        packet, transport, at = rtp.rebuild(
            datagram, self._extensions, self._transport_extension, payload_type
        )
        if len(packet) + RTX_OVERHEAD > MAX_SRTP_PACKET:
            raise rtp.PacketInvalid
        before, timestamp = self.highest, rtp.timestamp(packet)
        extended = self._count(rtp.sequence_number(packet), timestamp, now)
        numbers = payload.vp8_numbers(packet, at) if self._is_vp8 else NO_NUMBERS
        kept = Kept(extended, packet, at, timestamp, numbers)
        self._keep(kept)
        if self.is_watched or extended != before + 1:
            self._on_packet(kept, before, now)
        if self.lanes:
            self._fanout.forward(packet, extended, timestamp, numbers, self.lanes, now)
        return transport

    def kept(self, extended: int) -> Kept | None:
        """Find a packet that went out; None when it is too old, or never came."""
        found = self._history[extended % HISTORY]
        return found if found is not None and found.extended == extended else None

    def _count(self, sequence: int, timestamp: int, now: float) -> int:
        """Count a packet as RFC 3550 appendix A does; returns its extended sequence number."""
        self.packets += 1
        self.last_at = now
        if self.packets == 1:
            # One turn ahead, so that a packet from before the first one is not negative.
            self.first = self.highest = sequence + 0x10000
            return self.highest
        step = ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000
        if step <= 0:
            return self.highest + step
        self.highest += step
        self._note_transit(now * self._clock_rate - timestamp)
        return self.highest

    def _note_transit(self, transit: float) -> None:
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock_rate:  # a wrapped timestamp is no jitter
                self.jitter += (difference - self.jitter) / 16
        self._transit = transit

    def _keep(self, kept: Kept) -> None:
        packet = kept.packet
        self._history[kept.extended % HISTORY] = kept
        self.octets += len(packet) - kept.payload_at
        if self._has_level and (level := rtp.find_extension(packet, LEVEL_ID)):
            self.level = level[0] & 0x7F
        if kept.extended != self.highest:
            return
        self.frames += kept.timestamp != self.timestamp
        self.timestamp = kept.timestamp
        picture_at, is_wide, tl0_at = kept.numbers
        if picture_at:
            wide = int.from_bytes(packet[picture_at : picture_at + 2], "big") & 0x7FFF
            self.picture = wide if is_wide else packet[picture_at] & 0x7F
        if tl0_at:
            self.tl0 = packet[tl0_at]


__all__ = ["HISTORY", "SILENCE", "Kept", "OnPacket", "Stream"]
