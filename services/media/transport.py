"""One peer connection's transport: ICE-lite, DTLS and SRTP over the worker's one socket.

What arrives is authenticated before it is believed: checks by their integrity, media by SRTP. Anything else is
counted and dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from chassis import telemetry
from services.media import rtp
from services.media.dtls import MAX_SRTP_PACKET, Certificate, Dtls, Session, SrtpError
from services.media.fanout import Outlet
from services.media.ice import Address, Check, CheckInvalid, IceLite

CONSENT_SECONDS = 30.0
"""Without a check for this long the peer counts as gone (RFC 7675 §5.1) and gets no more packets."""

rejected = telemetry.counter(
    "media_rejected", "Datagrams and messages refused, by kind.", ("kind",)
)
_packets = telemetry.counter("media_packets", "SRTP packets that went by.", ("direction",))
_bytes = telemetry.counter("media_bytes", "Bytes of SRTP packets that went by.", ("direction",))

MAX_SOURCES = 64
"""SSRCs that one peer may send from in a transport's life: SRTP keeps state of each."""

Send = Callable[[bytes, Address], None]


class Transport:
    """`on_rtp`, `on_rtcp` and `on_data` (DTLS application data) get what was authenticated; `on_connected` is called when DTLS is done.

    RTP leaves by `outlet`, through the fan-out, from when the handshake is done.
    """

    def __init__(self, certificate: Certificate, send: Send, outlet: Outlet) -> None:
        self.ice = IceLite()
        self.outlet = outlet
        self.on_rtp: Callable[[bytes], None] = _ignore
        self.on_rtcp: Callable[[bytes], None] = _ignore
        self.on_data: Callable[[bytes], None] = _ignore
        self.on_connected: Callable[[], None] = _nothing
        self._certificate = certificate
        self._send = send
        self._remote: tuple[str, str, tuple[str, str]] | None = None
        self._dtls: Dtls | None = None
        self._sources: set[int] = set()
        self._packets_in = self._bytes_in = 0
        self._packets_out = self._bytes_out = 0

    @property
    def is_connected(self) -> bool:
        """Tell whether media can flow."""
        return self._dtls is not None and self._dtls.is_connected

    def set_remote(self, remote: tuple[str, str, tuple[str, str]]) -> bool:
        """Take the peer's ufrag, password and fingerprint; returns whether they ask for an ICE restart."""
        before, self._remote = self._remote, remote
        if before is None or before[2] != remote[2]:
            self._dtls = Dtls(self._certificate, remote[2])
            self.outlet.srtp = None
        return before is not None and before[:2] != remote[:2]

    def receive_check(self, check: Check, source: Address, now: float) -> None:
        """Answer a connectivity check. Raises CheckInvalid."""
        if self._remote is None:
            raise CheckInvalid
        self._send(self.ice.answer(check, source, now), source)
        self.outlet.address = self.ice.address

    def lose(self, address: Address) -> None:
        """An address can no more be reached: go on at another, if there is one."""
        self.ice.lose(address)
        self.outlet.address = self.ice.address

    def receive(self, datagram: bytes) -> None:
        """Take a DTLS, SRTP or SRTCP datagram from an address that checks have proved."""
        first = datagram[0]
        if 20 <= first <= 63:
            self._receive_dtls(datagram)
        elif 128 <= first <= 191 and len(datagram) >= 12 and self._dtls is not None:
            self._receive_srtp(datagram, self._dtls)
        else:
            rejected.labels("unknown").inc()

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send an RTCP packet; dropped while there is nowhere to send it."""
        dtls, address = self._dtls, self.ice.address
        if (
            dtls is None
            or dtls.outbound is None
            or address is None
            or len(packet) > MAX_SRTP_PACKET
        ):
            return
        self._send(dtls.outbound.protect_rtcp(packet), address)

    def send_data(self, data: bytes) -> None:
        """Send application data; dropped while there is nowhere to send it."""
        if self._dtls is not None:
            self._flush(self._dtls.send(data))

    def tick(self, now: float) -> None:
        """Do what is due; call some times a second."""
        if self._dtls is not None and self.ice.address is not None:
            self._flush(self._dtls.timeout())
        if self.ice.address is not None and now - self.ice.last_check > CONSENT_SECONDS:
            self.ice.address = self.outlet.address = None

    def flush_counters(self) -> int:
        """Add what has passed since the last time to the metrics (a counter per packet would cost too much).

        Returns how many packets that was, in and out.
        """
        outlet = self.outlet
        packets = self._packets_in + outlet.packets - self._packets_out
        _packets.labels("in").inc(self._packets_in)
        _bytes.labels("in").inc(self._bytes_in)
        _packets.labels("out").inc(outlet.packets - self._packets_out)
        _bytes.labels("out").inc(outlet.octets - self._bytes_out)
        self._packets_in = self._bytes_in = 0
        self._packets_out, self._bytes_out = outlet.packets, outlet.octets
        return packets

    def close(self) -> None:
        """Say goodbye."""
        if self._dtls is not None:
            self._flush(self._dtls.close())

    def _receive_dtls(self, datagram: bytes) -> None:
        if self._dtls is None or self._dtls.is_closed:
            rejected.labels("dtls").inc()
            return
        was_connected = self._dtls.is_connected
        self._flush(self._dtls.receive(datagram))
        if not was_connected:
            self._note_handshake(self._dtls)
        received, self._dtls.received = self._dtls.received, []
        for data in received:
            self.on_data(data)

    def _note_handshake(self, dtls: Dtls) -> None:
        if dtls.is_connected:
            self.outlet.srtp = dtls.outbound
            self.on_connected()
        elif dtls.is_closed:
            rejected.labels("dtls").inc()

    def _receive_srtp(self, datagram: bytes, dtls: Dtls) -> None:
        if dtls.inbound is None:
            rejected.labels("early").inc()
        elif rtp.is_rtcp(datagram):
            try:
                compound = dtls.inbound.unprotect_rtcp(datagram)
            except (SrtpError, ValueError):
                rejected.labels("srtcp").inc()
            else:
                self.on_rtcp(compound)
        else:
            self._receive_rtp(datagram, dtls.inbound)

    def _receive_rtp(self, datagram: bytes, session: Session) -> None:
        source = rtp.ssrc(datagram)
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            rejected.labels("rtp").inc()
            return
        try:
            packet = session.unprotect(datagram)
        except (SrtpError, ValueError):
            rejected.labels("srtp").inc()
            return
        self._sources.add(source)
        self._packets_in += 1
        self._bytes_in += len(packet)
        self.on_rtp(packet)

    def _flush(self, datagrams: list[bytes]) -> None:
        if (address := self.ice.address) is not None:
            for datagram in datagrams:
                self._send(datagram, address)


def _ignore(_packet: bytes) -> None:
    """Nobody listens yet."""


def _nothing() -> None:
    """Nobody listens yet."""


__all__ = ["Transport", "rejected"]
