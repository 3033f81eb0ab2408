"""DTLS-SRTP (RFC 5764), sans I/O: datagrams in, datagrams out, and two SRTP sessions when it is done.

THE one file that touches private parts of aiortc and pylibsrtp, whose versions are therefore pinned exactly. Towards
clients we are always the DTLS server (`a=setup:passive`), so the choice of SRTP profile is ours: AEAD first. Between two
workers the one that calls is the client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from enum import Enum
from functools import partial

import pylibsrtp
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    X509_DIGEST_ALGORITHMS,
    SRTPProtectionProfile,
    certificate_digest,
)
from OpenSSL import SSL
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

MTU = 1200
REPLAY_WINDOW = 1024
SENT_WINDOW = 512
"""As many as a stream's history: what a publisher sends again goes on under its own number. libsrtp moves the whole
window with each packet."""
SHARDS = 8
"""Contexts over which the sources that go to a peer are spread."""
MAX_RECORD = 2048
MAX_SRTP_PACKET = 1356
"""Bytes that pylibsrtp's buffer leaves for a packet to be protected."""

SrtpError = pylibsrtp.Error

srtp_protect = lib.srtp_protect


def srtp_addresses() -> tuple[int, ...]:
    """Tell where libsrtp's functions are: srtp_protect, srtp_protect_rtcp, srtp_unprotect, srtp_unprotect_rtcp.

    They are for the compiled fan-out, which so needs no libsrtp of its own.
    """
    names = ("srtp_protect", "srtp_protect_rtcp", "srtp_unprotect", "srtp_unprotect_rtcp")
    return tuple(int(ffi.cast("intptr_t", ffi.addressof(lib, name))) for name in names)


class DtlsState(Enum):
    """How far the handshake is."""

    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    CLOSED = "closed"


class Certificate:
    """A worker's certificate, made at start; every transport uses it."""

    def __init__(self) -> None:
        certificate = RTCCertificate.generateCertificate()
        self._context = certificate._create_ssl_context(SRTP_PROFILES)  # noqa: SLF001
        prints = certificate.getFingerprints()
        self.fingerprint = next(p.value for p in prints if p.algorithm == "sha-256")

    def connection(self, *, is_client: bool) -> SSL.Connection:
        """Make one side of a handshake."""
        connection = SSL.Connection(self._context)
        if is_client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        connection.set_ciphertext_mtu(MTU)
        return connection


class Scratch:
    """The one buffer in which packets are protected in place, with fewer copies than pylibsrtp makes.

    `srtp_protect(pointer, cdata, length)` protects the RTP packet of `length[0]` bytes, at most MAX_SRTP_PACKET, that lies
    in `buffer`, and says in `length[0]` how long it is then; what it returns is 0 unless it failed.
    """

    def __init__(self) -> None:
        self.cdata = ffi.new("char[]", 2048)
        self.buffer = ffi.buffer(self.cdata)
        self.length = ffi.new("int *")


scratch = Scratch()


class OutboundSrtp:
    """Protects what goes to one peer. Its contexts are not thread-safe: one thread for all.

    libsrtp looks for a packet's source one after the other through all that a context has; so they are spread over SHARDS
    contexts of the same keys, by SSRC, which is what tells their nonces apart. RTCP, with keys of its own, has the first.
    `pointers[ssrc % SHARDS]` is what `srtp_protect` takes; it lives as long as this does.
    """

    __slots__ = ("_sessions", "pointers")

    def __init__(self, new_session: Callable[[], Session]) -> None:
        self._sessions = tuple(new_session() for _ in range(SHARDS))
        self.pointers = tuple(session._srtp[0] for session in self._sessions)  # noqa: SLF001

    @property
    def contexts(self) -> tuple[int, ...]:
        """Get the pointers as numbers, for the compiled fan-out."""
        return tuple(int(ffi.cast("intptr_t", pointer)) for pointer in self.pointers)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Protect an RTCP packet. Raises SrtpError."""
        return self._sessions[0].protect_rtcp(packet)

    def forget(self, ssrc: int) -> None:
        """Keep no state of a source any more. Its SSRC must never be used again: its nonces would come again."""
        for session in {self._sessions[0], self._sessions[ssrc % SHARDS]}:
            _forget(session, ssrc)


class InboundSrtp:
    """Takes the protection off what comes from one peer, and refuses what is not the peer's or came before."""

    __slots__ = ("_session", "unprotect", "unprotect_rtcp")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.unprotect = session.unprotect
        self.unprotect_rtcp = session.unprotect_rtcp

    @property
    def contexts(self) -> tuple[int]:
        """Get the pointer to it as a number, for the compiled fan-out."""
        return (int(ffi.cast("intptr_t", self._session._srtp[0])),)  # noqa: SLF001

    def forget(self, ssrc: int) -> None:
        """Keep no state of a source any more: what came from it before would be taken again."""
        _forget(self._session, ssrc)


class Dtls:
    """One handshake, and the SRTP sessions that come of it. `received` gathers application data, for whoever takes it.

    `fingerprint` is the peer's, as its SDP has it: (algorithm, value). A peer whose certificate differs is refused.
    The client is the one that calls `begin`.
    """

    def __init__(
        self, certificate: Certificate, fingerprint: tuple[str, str], *, is_client: bool = False
    ) -> None:
        self._ssl = certificate.connection(is_client=is_client)
        self._fingerprint = fingerprint
        self._is_client = is_client
        self.state = DtlsState.HANDSHAKING
        self.inbound: InboundSrtp | None = None
        self.outbound: OutboundSrtp | None = None
        self.received: list[bytes] = []

    @property
    def is_connected(self) -> bool:
        """Tell whether the handshake is done."""
        return self.state is DtlsState.CONNECTED

    @property
    def is_closed(self) -> bool:
        """Tell whether the handshake has failed, or either side has said goodbye."""
        return self.state is DtlsState.CLOSED

    def begin(self) -> list[bytes]:
        """Begin the handshake, as its client; returns the datagrams to send."""
        self._shake()
        return self._outgoing()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a DTLS datagram; returns those to send. A bad one closes nothing but a handshake that fails."""
        self._ssl.bio_write(datagram)
        if self.state is DtlsState.HANDSHAKING:
            self._shake()
        elif self.state is DtlsState.CONNECTED:
            self._drain()
        return self._outgoing()

    def send(self, data: bytes) -> list[bytes]:
        """Wrap application data; returns the datagrams to send. Nothing goes while the handshake is not done."""
        if self.state is DtlsState.CONNECTED:
            with contextlib.suppress(SSL.Error):
                self._ssl.send(data)
        return self._outgoing()

    def timeout(self) -> list[bytes]:
        """Send the last flight again if it is time (RFC 6347 §4.2.4); call a few times a second."""
        if self.state is DtlsState.HANDSHAKING and self._ssl.DTLSv1_get_timeout() == 0:
            self._ssl.DTLSv1_handle_timeout()
            return self._outgoing()
        return []

    def close(self) -> list[bytes]:
        """Say goodbye to the peer."""
        if self.state is DtlsState.CONNECTED:
            with contextlib.suppress(SSL.Error):
                self._ssl.shutdown()
        self.state = DtlsState.CLOSED
        return self._outgoing()

    def _shake(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error:
            self.state = DtlsState.CLOSED
            return
        self.state = DtlsState.CONNECTED if self._is_whom_we_expect() else DtlsState.CLOSED
        if self.state is DtlsState.CONNECTED and not self._derive():
            self.state = DtlsState.CLOSED

    def _drain(self) -> None:
        try:
            while True:
                self.received.append(self._ssl.recv(MAX_RECORD))
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.Error:
            return

    def _outgoing(self) -> list[bytes]:
        datagrams = []
        while True:
            try:
                datagrams.append(self._ssl.bio_read(1500))
            except SSL.Error:
                return datagrams

    def _is_whom_we_expect(self) -> bool:
        algorithm, value = self._fingerprint
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None or algorithm not in X509_DIGEST_ALGORITHMS:
            return False
        return certificate_digest(certificate, algorithm) == value.upper()

    def _derive(self) -> bool:
        """Make the SRTP sessions of the keying material (RFC 5764 §4.2)."""
        chosen = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in SRTP_PROFILES if p.openssl_profile == chosen), None)
        if profile is None:
            return False
        length = 2 * (profile.key_length + profile.salt_length)
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", length)
        theirs, ours = (1, 0) if self._is_client else (0, 1)
        incoming = _session(profile, material, theirs, (Policy.SSRC_ANY_INBOUND, REPLAY_WINDOW))
        way_out = Policy.SSRC_ANY_OUTBOUND, SENT_WINDOW
        new_outgoing = partial(_session, profile, material, ours, way_out)
        self.inbound, self.outbound = InboundSrtp(incoming), OutboundSrtp(new_outgoing)
        return True


def _forget(session: Session, ssrc: int) -> None:
    with contextlib.suppress(SrtpError):  # there was none
        session.remove_stream(ssrc)


def _session(
    profile: SRTPProtectionProfile, material: bytes, index: int, way: tuple[int, int]
) -> Session:
    """Make a session with the keys of one side; `way` is its direction and how many packets may come late."""
    direction, window = way
    policy = Policy(
        key=profile.get_key_and_salt(material, index),
        ssrc_type=direction,
        srtp_profile=profile.libsrtp_profile,
    )
    policy.window_size = window
    return Session(policy)


__all__ = [
    "MAX_SRTP_PACKET",
    "Certificate",
    "Dtls",
    "DtlsState",
    "InboundSrtp",
    "OutboundSrtp",
    "Scratch",
    "Session",
    "SrtpError",
    "scratch",
    "srtp_addresses",
    "srtp_protect",
]
