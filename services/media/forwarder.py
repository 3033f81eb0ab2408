"""Forwarding: one published track to its subscribers, undecoded.

A packet is made ready once (payload type and extensions as every subscriber has them) and then, per subscriber, gets
that subscriber's SSRC, its SRTP protection and is sent. Sequence numbers are the same for all subscribers, so that one
history answers the NACKs of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from services.media import rtcp, rtp
from services.media.dtls import MAX_SRTP_PACKET
from services.media.numbering import Numbering
from services.media.reception import Reception
from services.media.sdp import Codec

HISTORY = 512
"""Packets kept for retransmission, a power of two: some three seconds of video at 1.5 Mbit/s."""
KEYFRAME_INTERVAL_SECONDS = 0.35
"""Between two keyframe requests to one publisher; a request that comes sooner is deferred, never dropped.
libwebrtc drops those that come within 300 ms of one another."""
RESENDS_PER_TICK = 64
"""Packets that one subscriber may have again between two ticks, so that its NACKs cannot starve the others."""
NACK_TRIES = 3
NACK_RETRY_SECONDS = 0.06
MAX_MISSING = 128
MAX_GAP = 256
"""A jump further than this is a new beginning, not loss."""


class Outlet(Protocol):
    """Where a subscriber's packets go."""

    def send_rtp(self, packet: bytes, ssrc: bytes) -> None:
        """Protect under an SSRC (four bytes) and send."""
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
        "resends_left",
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
        self.resends_left = RESENDS_PER_TICK
        self.keyframe_requests = 0

    def send(self, packet: bytes) -> None:
        """Send a packet that was made ready."""
        self.packets += 1
        self.octets += len(packet) - rtp.MIN_HEADER
        self.outlet.send_rtp(packet, self._ssrc_bytes)


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
        self._numbering = Numbering(codec.clock_rate)
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
        if len(packet) > MAX_SRTP_PACKET:
            raise rtp.PacketInvalid
        rtp.header_length(packet)
        transport = rtp.remap_extensions(packet, self._extensions, self._transport_extension)
        rtp.set_payload_type(packet, self.codec.payload_type)
        if (source := rtp.ssrc(packet)) != self.ssrc:
            self._begin(source)
        self.packets += 1
        self.octets += len(packet) - rtp.MIN_HEADER
        before = self.reception.highest
        extended = self.reception.receive(rtp.sequence_number(packet), rtp.timestamp(packet), now)
        if self.codec.kind == "video":
            self._note_gap(extended, before, now)
        if self.muted:
            self._numbering.interrupt()
        elif (sequence := self._numbering.renumber(packet, extended, now)) is not None:
            self._forward(bytes(packet), sequence)
        return transport

    def resend(self, downlink: Downlink, lost: rtcp.Nack) -> None:
        """Send a subscriber again what it has lost, as far as the history goes."""
        for sequence in lost.lost[: downlink.resends_left]:
            packet = self._history[sequence % HISTORY]
            if packet is not None and rtp.sequence_number(packet) == sequence:
                downlink.send(packet)
                downlink.packets -= 1
                downlink.retransmitted += 1
                downlink.resends_left -= 1

    def report(self, report: rtcp.SenderReport) -> None:
        """Pass a sender report on, each subscriber's under its own SSRC and with its own counts."""
        if report.ssrc != self.ssrc:
            return
        self.reception.reported(report)
        timestamp = (report.rtp_timestamp + self._numbering.timestamp_offset) & 0xFFFFFFFF
        for downlink in self.downlinks:
            downlink.outlet.send_rtcp(
                rtcp.sender_report(
                    downlink.ssrc,
                    report.ntp,
                    timestamp,
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
        for downlink in self.downlinks:
            downlink.resends_left = RESENDS_PER_TICK
        if self._keyframe_wanted and now - self._asked_at >= KEYFRAME_INTERVAL_SECONDS:
            self._keyframe_wanted = False
            self._asked_at = now
            self.keyframe_requests += 1
            self._request(rtcp.picture_loss_indication(1, self.ssrc))
        if self._missing:
            self._ask_for_missing(now)

    def _begin(self, ssrc: int) -> None:
        """Go on with another source."""
        self.ssrc = ssrc
        self.reception = Reception(self.codec.clock_rate)
        self._missing.clear()
        self._numbering.interrupt(new_source=True)

    def _forward(self, packet: bytes, sequence: int) -> None:
        self._history[sequence % HISTORY] = packet
        for downlink in self.downlinks:
            downlink.send(packet)

    def _note_gap(self, extended: int, before: int, now: float) -> None:
        self._missing.pop(extended, None)
        gap = extended - before - 1 if before >= 0 else 0
        if 0 < gap <= MAX_GAP:
            self._missing.update(dict.fromkeys(range(before + 1, extended), (0, now)))
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
                due.append(sequence & 0xFFFF)
        if due:
            self._request(rtcp.nack(1, self.ssrc, due))


__all__ = ["Downlink", "Forwarder", "Outlet"]
