"""One peer's way in, in pure Python: SRTP and SRTCP, authenticated, to the stream or the listener that it is for.

`native/inlet.c` does the same, compiled; one contract suite runs both.
"""

from __future__ import annotations

from collections.abc import Callable

from services.media import rtcp, rtp
from services.media.acknowledged import Acknowledged
from services.media.arrivals import Arrivals
from services.media.dtls import InboundSrtp, SrtpError
from services.media.stream import Stream

MAX_SOURCES = 64
"""SSRCs that one peer may send from in a transport's life: SRTP keeps state of each."""


class Inlet:
    """One peer's way in. Without `srtp` all is refused.

    What is connected to a stream goes there, the rest to `on_rtp`; RTCP to `on_rtcp`, but transport-wide feedback that
    comes by itself, as it nearly always does, goes to `acknowledged` where that is given. `packets` and `octets` count RTP.
    At most `max_sources` may come unannounced. Of what is refused, `early` came before `srtp` was there, `unprotected` and `unprotected_rtcp` was not authentic, and
    `invalid` was no RTP that we read, `invalid_rtcp` no feedback.
    """

    __slots__ = (
        "_arrivals",
        "_streams",
        "acknowledged",
        "early",
        "invalid",
        "invalid_rtcp",
        "max_sources",
        "octets",
        "on_rtcp",
        "on_rtp",
        "packets",
        "srtp",
        "unprotected",
        "unprotected_rtcp",
    )

    def __init__(self) -> None:
        self.srtp: InboundSrtp | None = None
        self.on_rtp: Callable[[bytes], None] = ignore
        self.on_rtcp: Callable[[bytes], None] = ignore
        self.packets = self.octets = 0
        self.max_sources = MAX_SOURCES
        self.acknowledged: Acknowledged | None = None
        self.early = self.unprotected = self.unprotected_rtcp = 0
        self.invalid = self.invalid_rtcp = 0
        self._streams: dict[int, Stream | None] = {}
        self._arrivals = Arrivals()

    def connect(self, ssrc: int, stream: Stream | None) -> None:
        """Have a source's packets go to a stream, or with None to `on_rtp` again. Raises ValueError: too many sources."""
        if ssrc not in self._streams and len(self._streams) >= self.max_sources:
            raise ValueError("too many sources")
        self._streams[ssrc] = stream

    def expect(self, ssrc: int) -> None:
        """Take a source's packets, however many there are already."""
        self._streams.setdefault(ssrc, None)

    def forget(self, ssrc: int) -> None:
        """A source is gone; it is as if it had never been, but for what SRTP knows of it."""
        self._streams.pop(ssrc, None)

    def note_arrival(self, number: int, now: float) -> None:
        """Note when a transport-wide sequence number came."""
        self._arrivals.note(number, now)

    def take_feedback(self, media_ssrc: int) -> list[bytes]:
        """Make the RTCP packets that tell of what was noted since the last time."""
        return self._arrivals.take(media_ssrc)

    def receive(self, datagram: bytes, now: float) -> None:
        """Take an SRTP or SRTCP datagram of at least 12 bytes."""
        srtp = self.srtp
        if srtp is None:
            self.early += 1
        elif rtp.is_rtcp(datagram):
            try:
                compound = srtp.unprotect_rtcp(datagram)
            except (SrtpError, ValueError):
                self.unprotected_rtcp += 1
            else:
                self._receive_rtcp(compound)
        else:
            self._receive_rtp(datagram, srtp, now)

    def _receive_rtcp(self, compound: bytes) -> None:
        body = rtcp.lone_feedback(compound) if self.acknowledged is not None else None
        if self.acknowledged is None or body is None:
            self.on_rtcp(compound)
            return
        try:
            self.acknowledged.receive(body)
        except ValueError:
            self.invalid_rtcp += 1

    def _receive_rtp(self, datagram: bytes, srtp: InboundSrtp, now: float) -> None:
        source = rtp.ssrc(datagram)
        if source not in self._streams and len(self._streams) >= self.max_sources:
            self.invalid += 1
            return
        try:
            packet = srtp.unprotect(datagram)
        except (SrtpError, ValueError):
            self.unprotected += 1
            return
        self.packets += 1
        self.octets += len(packet)
        if (stream := self._streams.setdefault(source, None)) is None:
            self.on_rtp(packet)
            return
        try:
            number = stream.receive(packet, now)
        except rtp.PacketInvalid:
            self.invalid += 1
            return
        if number >= 0:
            self._arrivals.note(number, now)


def ignore(_packet: bytes) -> None:
    """Nobody listens yet."""


__all__ = ["MAX_SOURCES", "Inlet", "ignore"]
