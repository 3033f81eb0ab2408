"""A light client's peer connection: one UDP socket, ICE as a full agent does it, DTLS, SRTP.

The server is mostly passive and ICE-lite; where it is not, it is the client of DTLS, and its own checks are answered.
Nothing here is private
to aiortc: DTLS is pyOpenSSL's, SRTP is pylibsrtp's, STUN messages are aioice's.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import secrets
import socket
import struct
from collections.abc import Callable

import pylibsrtp
from aioice import stun
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from loadtest.media.sdp import Local, Remote

PROFILES = {
    b"SRTP_AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
"""The profiles that we offer: libsrtp's number, bytes of key and of salt (RFC 5764 §4.1.2, RFC 7714 §14.2)."""
BURST = 32
"""Reads before other sockets get their turn."""
MAX_READ = 1 << 16
BUFFER_BYTES = 4 * 1024 * 1024
CONSENT_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 0.5
CONNECT_SECONDS = 20.0
SO_TIMESTAMPNS = 35
"""asm-generic/socket.h: the kernel notes when a datagram came, so that our own lateness is no latency."""
SOL_UDP, UDP_GRO = 17, 104
"""linux/udp.h, since 5.0: what was sent as one is read as one. Else the kernel cuts it up on the sender's time."""
_TIME = struct.Struct("@qq")
_SIZE = struct.Struct("@i")
_ANCILLARY = socket.CMSG_SPACE(_TIME.size) + socket.CMSG_SPACE(_SIZE.size)

_buffer = memoryview(bytearray(MAX_READ))
"""Into which all connections of a process read, one after the other."""

SrtpError = pylibsrtp.Error


class ConnectionFailed(Exception):
    """The connection did not come up."""


class Certificate:
    """A certificate that all connections of a process share."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loadtest")])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), secrets.randbits(64) + 1)
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=7))
        certificate = builder.sign(key, hashes.SHA256())
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self._context = SSL.Context(SSL.DTLS_METHOD)
        self._context.use_certificate(certificate)
        self._context.use_privatekey(key)
        self._context.set_verify(SSL.VERIFY_PEER, lambda *_: True)  # by its fingerprint, afterwards
        self._context.set_tlsext_use_srtp(b":".join(PROFILES))

    def handshake(self, *, as_server: bool) -> SSL.Connection:
        """Begin our side of a handshake."""
        connection = SSL.Connection(self._context)
        if as_server:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        connection.set_ciphertext_mtu(1_200)
        return connection


class Connection:
    """`on_rtp(packet, arrival_ns)` gets SRTP as it came, `on_rtcp` what was decrypted; `inbound` decrypts.

    `connected` is done when DTLS is, and fails with ConnectionFailed.
    """

    def __init__(self, certificate: Certificate, host: str) -> None:
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with contextlib.suppress(OSError):  # an older kernel
            self._socket.setsockopt(SOL_UDP, UDP_GRO, 1)
        self._socket.bind((host, 0))
        self.local = Local(certificate.fingerprint, self._socket.getsockname()[:2])
        self._loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = self._loop.create_future()
        self.connected.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.inbound: Session | None = None
        self.on_rtp: Callable[[bytes, int], None] = lambda _packet, _arrival: None
        self.on_rtcp: Callable[[bytes], None] = lambda _packet: None
        self.unsent = 0
        self._outbound: Session | None = None
        self._certificate = certificate
        self._ssl = certificate.handshake(as_server=False)
        self._remote: Remote | None = None
        self._is_controlling = True
        self._tie_breaker = secrets.randbits(64)
        self._is_checked = False
        self._is_open = True
        self._hello: list[bytes] = []
        self._retry = FIRST_RETRY_SECONDS
        self._check_at = self._give_up_at = 0.0

    def connect(self, remote: Remote, *, controlling: bool) -> None:
        """Begin to connect; said again with the same remote, nothing happens."""
        if remote == self._remote or not self._is_open:
            return
        self._is_controlling = controlling or remote.is_lite
        is_new, self._remote = self._remote is None, remote
        if is_new and remote.is_active:
            self._ssl = self._certificate.handshake(as_server=True)
        self._socket.connect(remote.address)
        self._check_at = 0.0
        self._give_up_at = self._loop.time() + CONNECT_SECONDS
        if is_new:
            self._loop.add_reader(self._socket, self._read)
        self.tick()

    @property
    def is_connected(self) -> bool:
        """Tell whether media can flow."""
        return self._outbound is not None and self._is_open

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send an RTP packet; one that the socket does not take counts as unsent."""
        if self._outbound is not None:
            self._send(self._outbound.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send an RTCP packet."""
        if self._outbound is not None:
            self._send(self._outbound.protect_rtcp(packet))

    def tick(self) -> None:
        """Do what is due: checks, and handshakes again; call some times a second."""
        if self._remote is None or not self._is_open:
            return
        now = self._loop.time()
        if now >= self._check_at:
            self._check()
            self._check_at = now + (CONSENT_SECONDS if self._is_checked else self._retry)
            self._retry = min(2 * self._retry, LAST_RETRY_SECONDS)
        if self.connected.done():
            return
        if now > self._give_up_at:
            self.connected.set_exception(ConnectionFailed("no connection in time"))
        elif self._hello:  # no answer yet: OpenSSL would wait a second, browsers do not
            for datagram in self._hello:
                self._send(datagram)
        elif self._is_checked and self._ssl.DTLSv1_get_timeout() == 0:
            self._ssl.DTLSv1_handle_timeout()
            self._flush()

    def close(self) -> None:
        """Say goodbye, and receive nothing more."""
        if not self._is_open:
            return
        self._is_open = False
        if self._outbound is not None:
            self._ssl.shutdown()
            self._flush()
        self.connected.cancel()
        if self._remote is not None:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                length, ancillary, _, _ = self._socket.recvmsg_into([_buffer], _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier send
                continue
            size, arrival = length, 0
            for level, _, value in ancillary:
                if level == SOL_UDP:
                    (size,) = _SIZE.unpack(value)
                else:
                    seconds, nanoseconds = _TIME.unpack(value)
                    arrival = seconds * 1_000_000_000 + nanoseconds
            for begin in range(0, length, size or 1):
                self._take(bytes(_buffer[begin : min(begin + size, length)]), arrival)
                if not self._is_open:
                    return

    def _take(self, datagram: bytes, arrival: int) -> None:
        first = datagram[0]
        if 128 <= first <= 191 and len(datagram) >= 12 and not 192 <= datagram[1] <= 223:
            self.on_rtp(datagram, arrival)
        else:
            self._read_rest(first, datagram)

    def _read_rest(self, first: int, datagram: bytes) -> None:
        if first <= 3:
            self._read_stun(datagram)
        elif 20 <= first <= 63:
            self._hello = []
            self._ssl.bio_write(datagram)
            self._shake()
        elif 128 <= first <= 191 and self.inbound is not None:
            try:
                compound = self.inbound.unprotect_rtcp(datagram)
            except SrtpError:
                return
            self.on_rtcp(compound)

    def _read_stun(self, datagram: bytes) -> None:
        try:
            message = stun.parse_message(datagram)
        except (ValueError, KeyError, IndexError):
            return
        if message.message_class is stun.Class.REQUEST:
            self._answer(message)
        elif message.message_class is stun.Class.RESPONSE and not self._is_checked:
            self._is_checked = True
            self._hello = self._shake()

    def _check(self) -> None:
        assert self._remote is not None
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self._remote.ufrag}:{self.local.ufrag}"
        message.attributes["PRIORITY"] = 1_845_501_695  # RFC 8445 §7.1.1, peer reflexive
        role = "ICE-CONTROLLING" if self._is_controlling else "ICE-CONTROLLED"
        message.attributes[role] = self._tie_breaker
        if self._is_controlling:
            message.attributes["USE-CANDIDATE"] = None
        self._say(message, self._remote.password)

    def _answer(self, request: stun.Message) -> None:
        assert self._remote is not None
        if not request.check_message_integrity(self.local.password.encode()):
            return
        message = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        message.attributes["XOR-MAPPED-ADDRESS"] = self._remote.address
        self._say(message, self.local.password)

    def _say(self, message: stun.Message, password: str) -> None:
        message.add_message_integrity(password.encode())
        message.add_fingerprint()
        self._send(bytes(message))

    def _shake(self) -> list[bytes]:
        """Go on with the handshake; returns what was sent."""
        if self._outbound is None and self._is_checked:
            try:
                self._ssl.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self._fail(f"the handshake failed: {error}")
            else:
                self._derive()
        return self._flush()

    def _derive(self) -> None:
        """Make the SRTP sessions of the keying material (RFC 5764 §4.2)."""
        assert self._remote is not None
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        algorithm, digest = self._remote.fingerprint
        seen = "" if certificate is None else certificate.fingerprint(hashes.SHA256()).hex(":")
        if algorithm != "sha-256" or seen.upper() != digest:
            self._fail("the server's certificate is not that of its description")
            return
        profile, key, salt = PROFILES[self._ssl.get_selected_srtp_profile()]
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        keys = [material[n * key : (n + 1) * key] for n in (0, 1)]
        salts = [material[2 * key + n * salt : 2 * key + (n + 1) * salt] for n in (0, 1)]
        ours = 1 if self._remote.is_active else 0  # the client's keys come first
        theirs = 1 - ours
        self._outbound = _session(profile, keys[ours] + salts[ours], Policy.SSRC_ANY_OUTBOUND)
        self.inbound = _session(profile, keys[theirs] + salts[theirs], Policy.SSRC_ANY_INBOUND)
        if not self.connected.done():
            self.connected.set_result(None)

    def _fail(self, text: str) -> None:
        if not self.connected.done():
            self.connected.set_exception(ConnectionFailed(text))

    def _flush(self) -> list[bytes]:
        sent = []
        while True:
            try:
                sent.append(self._ssl.bio_read(1_500))
            except SSL.Error:
                return sent
            self._send(sent[-1])

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except OSError:
            self.unsent += 1


def _session(profile: int, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.allow_repeat_tx = True  # a retransmission without RTX is the same packet again
    policy.window_size = 1_024
    return Session(policy)


__all__ = ["Certificate", "Connection", "ConnectionFailed", "SrtpError"]
