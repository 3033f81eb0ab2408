"""Forwarding: one published track to its subscribers, undecoded.

A packet is made ready once (payload type and extensions as every subscriber has them) and then, per subscriber, gets
that subscriber's SSRC, its SRTP protection and is sent. Sequence numbers and timestamps are the publisher's own, so a
subscriber's NACK names the packet that the history has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from services.media import rtcp, rtp
from services.media.sdp import Codec

HISTORY = 512
"""Packets kept for retransmission, a power of two: some three seconds of video at 1.5 Mbit/s."""
KEYFRAME_INTERVAL_SECONDS = 0.5
"""Between two keyframe requests to one publisher; a request that comes sooner is deferred, never dropped."""
NACK_TRIES = 3
NACK_RETRY_SECONDS = 0.06
MAX_MISSING = 128
MAX_GAP = 256
"""A jump further than this is a new beginning, not loss."""


class Outlet(Protocol):
    """Where a subscriber's packets go."""

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send."""
        ...

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send."""
        ...


class Downlink:
    """One track to one subscriber, under an SSRC of its own."""

    __slots__ = (
        "_ssrc_bytes",
        "keyframe_requests",
        "octets",
        "outlet",
        "packets",
        "retransmitted",
        "ssrc",
    )

    def __init__(self, outlet: Outlet, ssrc: int) -> None:
        self.outlet = outlet
        self.ssrc = ssrc
        self._ssrc_bytes = ssrc.to_bytes(4, "big")
        self.packets = 0
        self.octets = 0
        self.retransmitted = 0
        self.keyframe_requests = 0

    def send(self, packet: bytes) -> None:
        """Send a packet that was made ready."""
        self.packets += 1
        self.octets += len(packet) - rtp.MIN_HEADER
        self.outlet.send_rtp(packet[:8] + self._ssrc_bytes + packet[12:])


class Forwarder:
    """A published track.

    `extensions` renumbers the publisher's header extensions; `transport_extension` is its id for the transport-wide
    sequence number, or 0. `request` sends RTCP to the publisher.
    """

    def __init__(
        self,
        codec: Codec,
        extensions: Mapping[int, int],
        transport_extension: int,
        request: Callable[[bytes], None],
    ) -> None:
        self.codec = codec
        self.ssrc = 0
        self.downlinks: list[Downlink] = []
        self.muted = False
        self.packets = 0
        self.octets = 0
        self.keyframe_requests = 0
        self.reception = Reception(codec.clock_rate)
        self._extensions = extensions
        self._transport_extension = transport_extension
        self._request = request
        self._history: list[bytes | None] = [None] * HISTORY
        self._missing: dict[int, tuple[int, float]] = {}
        self._asked_at = -KEYFRAME_INTERVAL_SECONDS
        self._keyframe_wanted = False

    def receive(self, datagram: bytes, now: float) -> int:
        """Forward a packet from the publisher; returns its transport-wide sequence number, or -1.

        Raises PacketInvalid.
        """
        packet = bytearray(datagram)
        rtp.header_length(packet)
        transport = rtp.remap_extensions(packet, self._extensions, self._transport_extension)
        rtp.set_payload_type(packet, self.codec.payload_type)
        self.ssrc = rtp.ssrc(packet)
        sequence = rtp.sequence_number(packet)
        self.packets += 1
        self.octets += len(packet) - rtp.MIN_HEADER
        gap = self.reception.receive(sequence, rtp.timestamp(packet), now)
        if self.codec.kind == "video":
            self._note_gap(sequence, gap, now)
        ready = bytes(packet)
        self._history[sequence % HISTORY] = ready
        if not self.muted:
            for downlink in self.downlinks:
                downlink.send(ready)
        return transport

    def resend(self, downlink: Downlink, lost: rtcp.Nack) -> None:
        """Send a subscriber again what it has lost, as far as the history goes."""
        for sequence in lost.lost:
            packet = self._history[sequence % HISTORY]
            if packet is not None and rtp.sequence_number(packet) == sequence:
                downlink.send(packet)
                downlink.packets -= 1
                downlink.retransmitted += 1

    def report(self, report: rtcp.SenderReport) -> None:
        """Pass a sender report on, each subscriber's under its own SSRC and with its own counts."""
        self.reception.reported(report)
        for downlink in self.downlinks:
            downlink.outlet.send_rtcp(
                rtcp.sender_report(
                    downlink.ssrc,
                    report.ntp,
                    report.rtp_timestamp,
                    downlink.packets,
                    downlink.octets,
                )
            )

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe, at the next `tick` that may."""
        self._keyframe_wanted = self.codec.kind == "video"

    def tick(self, now: float) -> None:
        """Do what is due: keyframe requests and NACKs to the publisher. Call some twenty times a second."""
        if not self.ssrc:
            return
        if self._keyframe_wanted and now - self._asked_at >= KEYFRAME_INTERVAL_SECONDS:
            self._keyframe_wanted = False
            self._asked_at = now
            self.keyframe_requests += 1
            self._request(rtcp.picture_loss_indication(1, self.ssrc))
        if self._missing:
            self._ask_for_missing(now)

    def _note_gap(self, sequence: int, gap: int, now: float) -> None:
        self._missing.pop(sequence, None)
        if 0 < gap <= MAX_GAP:
            for back in range(gap, 0, -1):
                self._missing[(sequence - back) & 0xFFFF] = (0, now)
            while len(self._missing) > MAX_MISSING:
                del self._missing[next(iter(self._missing))]
            self._ask_for_missing(now)
        elif gap > MAX_GAP:
            self._missing.clear()

    def _ask_for_missing(self, now: float) -> None:
        due = []
        for sequence, (tries, since) in list(self._missing.items()):
            if tries >= NACK_TRIES:
                del self._missing[sequence]
            elif tries == 0 or now - since >= NACK_RETRY_SECONDS:
                self._missing[sequence] = (tries + 1, now)
                due.append(sequence)
        if due:
            self._request(rtcp.nack(1, self.ssrc, due))


class Reception:
    """What is known of a source's reception: loss and jitter as RFC 3550 §6.4.1 and appendix A count them."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._first: int | None = None
        self._highest = 0
        self._received = 0
        self._jitter = 0.0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._sender_report: tuple[int, float] | None = None
        self._now = 0.0

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self._expected - self._received)

    @property
    def _expected(self) -> int:
        return 0 if self._first is None else self._highest - self._first + 1

    def receive(self, sequence: int, timestamp: int, now: float) -> int:
        """Count a packet; returns how many are missing right before it (0 for one that comes late)."""
        self._received += 1
        self._now = now
        if self._first is None:
            self._first = self._highest = sequence
            return 0
        step = ((sequence - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if step <= 0:
            return 0
        self._highest += step
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock_rate:  # a wrapped timestamp is no jitter
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit
        return step - 1

    def reported(self, report: rtcp.SenderReport) -> None:
        """Remember the last sender report, for the round trip time."""
        self._sender_report = ((report.ntp >> 16) & 0xFFFFFFFF, self._now)

    def block(self, ssrc: int, now: float) -> rtcp.Reception:
        """Make a report block of what came since the one before."""
        expected = self._expected - self._expected_before
        received = self._received - self._received_before
        self._expected_before, self._received_before = self._expected, self._received
        lost = max(0, expected - received)
        last, since = self._sender_report or (0, now)
        return rtcp.Reception(
            ssrc=ssrc,
            fraction_lost=min(255, 256 * lost // expected) if expected > 0 else 0,
            lost=self.lost,
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_sender_report=last,
            delay_since=int((now - since) * 65_536) if last else 0,
        )


__all__ = ["Downlink", "Forwarder", "Outlet", "Reception"]
