"""One peer connection's transport: ICE-lite, DTLS and SRTP over the worker's one socket.

What arrives is authenticated before it is believed: checks by their integrity, media by SRTP. Anything else is
counted and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from aioice import stun

from chassis import telemetry
from services.media.dtls import Certificate, Dtls
from services.media.fanout import Fanout
from services.media.ice import Address, Check, CheckInvalid, Credentials, IceCaller, IceLite
from services.media.inlet import Inlet
from services.media.outlet import Outlet

CONSENT_SECONDS = 30.0
"""Without a check for this long the peer counts as gone (RFC 7675 §5.1) and gets no more packets."""

rejected = telemetry.counter(
    "media_rejected", "Datagrams and messages refused, by kind.", ("kind",)
)
_packets = telemetry.counter("media_packets", "SRTP packets that went by.", ("direction",))
_bytes = telemetry.counter("media_bytes", "Bytes of SRTP packets that went by.", ("direction",))

CALL_SECONDS = 0.2
RENEW_SECONDS = 1.0
"""Between two checks of ours, until one is answered and then."""

Send = Callable[[bytes, Address], None]
Ask = Callable[["Caller", stun.Message, Address], None]


class _Counts(NamedTuple):
    """What has passed a transport: RTP packets and their bytes, and what was refused, by `rejected`'s kinds."""

    packets_in: int
    octets_in: int
    packets_out: int
    octets_out: int
    early: int
    srtp: int
    srtcp: int
    rtp: int
    rtcp: int

    @classmethod
    def of(cls, inlet: Inlet, outlet: Outlet) -> _Counts:
        """Read them."""
        return cls(
            inlet.packets,
            inlet.octets,
            outlet.number,
            outlet.octets,
            inlet.early,
            inlet.unprotected,
            inlet.unprotected_rtcp,
            inlet.invalid,
            inlet.invalid_rtcp,
        )


class Transport:
    """`on_data` gets DTLS application data; `on_connected` is called when DTLS is done.

    From then on RTP comes by `inlet` and leaves by `outlet`, both the fan-out's; `inlet` has who listens to it.
    """

    def __init__(self, certificate: Certificate, send: Send, fanout: Fanout) -> None:
        self.ice = self._new_ice()
        self.inlet = fanout.inlet()
        self.outlet = fanout.outlet()
        self._fanout = fanout
        self.on_data: Callable[[bytes], None] = _ignore
        self.on_connected: Callable[[], None] = _nothing
        self._certificate = certificate
        self._send = send
        self._remote: tuple[str, str, tuple[str, str]] | None = None
        self._dtls: Dtls | None = None
        self._counted = _Counts(0, 0, 0, 0, 0, 0, 0, 0, 0)

    @property
    def is_connected(self) -> bool:
        """Tell whether media can flow."""
        return self._dtls is not None and self._dtls.is_connected

    def set_remote(self, remote: tuple[str, str, tuple[str, str]]) -> bool:
        """Take the peer's ufrag, password and fingerprint; returns whether they ask for an ICE restart."""
        before, self._remote = self._remote, remote
        if before is None or before[2] != remote[2]:
            self._dtls = self._new_dtls(remote[2])
            self.inlet.srtp = self.outlet.srtp = None
        return before is not None and before[:2] != remote[:2]

    def receive_check(self, check: Check, source: Address, now: float) -> None:
        """Answer a connectivity check. Raises CheckInvalid."""
        if self._remote is None:
            raise CheckInvalid
        self._send(self.ice.answer(check, source, now), source)
        self.outlet.address = self.ice.address

    def forget_sources(self, received: Iterable[int], sent: Iterable[int]) -> None:
        """Keep no state of sources that are gone, the peer's and ours. None of these SSRCs must be used again."""
        for ssrc in received:
            self.inlet.forget(ssrc)
        if self._dtls is None or self._dtls.inbound is None or self._dtls.outbound is None:
            return
        for ssrc in received:
            self._dtls.inbound.forget(ssrc)
        for ssrc in sent:
            self._dtls.outbound.forget(ssrc)

    def lose(self, address: Address) -> None:
        """An address can no more be reached: go on at another, if there is one."""
        self.ice.lose(address)
        self.outlet.address = self.ice.address

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a DTLS, SRTP or SRTCP datagram from an address that checks have proved."""
        if 20 <= datagram[0] <= 63:
            self._receive_dtls(datagram)
        elif is_srtp(datagram):
            self.inlet.receive(datagram, now)
        else:
            rejected.labels("unknown").inc()

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send an RTCP packet; dropped while there is nowhere to send it."""
        self._fanout.send_rtcp(self.outlet, packet)

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
        before = self._counted
        now = self._counted = _Counts.of(self.inlet, self.outlet)
        gained = _Counts(*(new - old for new, old in zip(now, before, strict=True)))
        _packets.labels("in").inc(gained.packets_in)
        _bytes.labels("in").inc(gained.octets_in)
        _packets.labels("out").inc(gained.packets_out)
        _bytes.labels("out").inc(gained.octets_out)
        for kind in ("early", "srtp", "srtcp", "rtp", "rtcp"):
            if count := getattr(gained, kind):
                rejected.labels(kind).inc(count)
        return gained.packets_in + gained.packets_out

    def close(self) -> None:
        """Say goodbye."""
        if self._dtls is not None:
            self._flush(self._dtls.close())

    def _new_ice(self) -> IceLite:
        return IceLite()

    def _new_dtls(self, fingerprint: tuple[str, str]) -> Dtls:
        return Dtls(self._certificate, fingerprint)

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
            self.inlet.srtp, self.outlet.srtp = dtls.inbound, dtls.outbound
            self.on_connected()
        elif dtls.is_closed:
            rejected.labels("dtls").inc()

    def _flush(self, datagrams: list[bytes]) -> None:
        if (address := self.ice.address) is not None:
            for datagram in datagrams:
                self._send(datagram, address)


class Caller(Transport):
    """The side that begins: it checks the addresses of a peer that is lite, then shakes hands as DTLS client.

    `ask` sends a check and hands its answer to `receive_answer`.
    """

    def __init__(self, certificate: Certificate, send: Send, fanout: Fanout, ask: Ask) -> None:
        self._calling = IceCaller()
        super().__init__(certificate, send, fanout)
        self._ask = ask
        self._addresses: Sequence[Address] = ()
        self._asked_at = 0.0

    def call(self, addresses: Sequence[Address], now: float) -> None:
        """Begin to check the peer's addresses; `set_remote` comes before."""
        self._addresses = addresses
        self._check(now)

    def receive_answer(self, datagram: bytes, source: Address, now: float) -> None:
        """Take the answer to a check. Raises CheckInvalid."""
        if self._remote is None or self._dtls is None:
            raise CheckInvalid
        is_first = self.ice.address is None
        self._calling.answered(datagram, Credentials(*self._remote[:2]), source, now)
        self.outlet.address = self.ice.address
        if is_first:
            self._flush(self._dtls.begin())

    def tick(self, now: float) -> None:
        """Do what is due: checks too, often until one is answered, then as consent."""
        super().tick(now)
        if now - self._asked_at >= (CALL_SECONDS if self.ice.address is None else RENEW_SECONDS):
            self._check(now)

    def _new_ice(self) -> IceLite:
        return self._calling

    def _new_dtls(self, fingerprint: tuple[str, str]) -> Dtls:
        return Dtls(self._certificate, fingerprint, is_client=True)

    def _check(self, now: float) -> None:
        self._asked_at = now
        if self._remote is not None:
            remote = Credentials(*self._remote[:2])
            for address in self._addresses if self.ice.address is None else (self.ice.address,):
                self._ask(self, self._calling.request(remote), address)


def is_srtp(datagram: bytes) -> bool:
    """Tell SRTP and SRTCP from what else comes by one port (RFC 7983 §7)."""
    return 128 <= datagram[0] <= 191 and len(datagram) >= 12


def _ignore(_packet: bytes) -> None:
    """Nobody listens yet."""


def _nothing() -> None:
    """Nobody listens yet."""


__all__ = ["Caller", "Transport", "is_srtp", "rejected"]
