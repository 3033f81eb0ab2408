"""Whether a stack's ports are reached: the checks and requests that a browser would send, sent from this machine.

Nothing is believed but authenticated answers. Blocking, one question after the other: it is for a person who waits.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aioice import stun
from aioice.turn import make_integrity_key

UDP_ATTEMPTS = 3
UDP_SECONDS = 0.7
TCP_SECONDS = 3.0
MAX_ANSWER = 2048
UDP_RELAYED = 17 << 24
"""REQUESTED-TRANSPORT (RFC 8656 §18.7): the relay is to speak UDP with the media workers."""

Address = tuple[str, int]


class NotReached(Exception):
    """Nothing came back, or not what should; the text says which, for a person."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A TURN address taken apart: `scheme` is turn or turns, `transport` udp or tcp."""

    scheme: str
    host: str
    port: int
    transport: str


class Wire:
    """Something that carries STUN messages: one datagram each over UDP, one after the other over a stream."""

    def __init__(self, connection: socket.socket, *, framed: bool = False) -> None:
        self._connection = connection
        self._is_udp = connection.type == socket.SOCK_DGRAM
        self._framed = framed

    def ask(self, message: stun.Message) -> stun.Message:
        """Send a message and wait for its answer. Raises NotReached."""
        data = bytes(message)
        if self._framed:  # RFC 4571 §2
            data = len(data).to_bytes(2, "big") + data
        try:
            for _ in range(UDP_ATTEMPTS if self._is_udp else 1):
                self._connection.sendall(data)
                with contextlib.suppress(TimeoutError):
                    answer = stun.parse_message(self._receive())
                    if answer.transaction_id == message.transaction_id:
                        return answer
        except (OSError, ValueError) as error:
            raise NotReached(_why(error)) from None
        raise NotReached("no answer")

    def _receive(self) -> bytes:
        if self._is_udp:
            return self._connection.recv(MAX_ANSWER)
        if self._framed:
            return self._exactly(int.from_bytes(self._exactly(2), "big"))
        head = self._exactly(20)
        return head + self._exactly(int.from_bytes(head[2:4], "big"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < min(size, MAX_ANSWER):
            if not (more := self._connection.recv(size - len(data))):
                raise ConnectionResetError
            data += more
        return data


def check(host: str, port: int, secret: str, *, tcp: bool) -> Address:
    """Send a worker a connectivity check; returns the address from which it came there. Raises NotReached."""
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = "probe:doctor"
    request.add_message_integrity(secret.encode())
    with _connected(host, port, tcp=tcp) as connection:
        answer = Wire(connection, framed=tcp).ask(request)
    if not answer.check_message_integrity(secret.encode()):
        raise NotReached("something that is not this stack answers")
    seen: Address = answer.attributes["XOR-MAPPED-ADDRESS"]
    return seen


def allocate(
    relay: Relay,
    username: str,
    password: str,
    context: ssl.SSLContext,
    at: Address | None = None,
) -> Address:
    """Have a TURN relay give out an address, and give it back; returns it (RFC 8656 §7). Raises NotReached.

    `at` is where to connect, if not where the relay's name leads.
    """
    tcp = relay.transport == "tcp" or relay.scheme == "turns"
    host, port = at or (relay.host, relay.port)
    with (
        _connected(host, port, tcp=tcp) as plain,
        _secured(plain, relay, context) as connection,
    ):
        wire = Wire(connection)
        challenge = wire.ask(_allocation())
        if challenge.message_class != stun.Class.ERROR or "NONCE" not in challenge.attributes:
            raise NotReached("it is no TURN server that asks for credentials")
        key = make_integrity_key(username, challenge.attributes["REALM"], password)
        proof = {n: challenge.attributes[n] for n in ("REALM", "NONCE")} | {"USERNAME": username}
        answer = wire.ask(_signed(_allocation(), proof, key))
        if answer.message_class == stun.Class.ERROR:
            code, phrase = answer.attributes.get("ERROR-CODE", (0, ""))
            raise NotReached(f"it refuses: {code} {phrase}".rstrip())
        back = stun.Message(stun.Method.REFRESH, stun.Class.REQUEST)
        back.attributes["LIFETIME"] = 0
        wire.ask(_signed(back, proof, key))
    relayed: Address = answer.attributes["XOR-RELAYED-ADDRESS"]
    return relayed


def handshake(host: str, port: int, name: str, context: ssl.SSLContext) -> None:
    """Open a TLS connection, asking for `name`. Raises NotReached."""
    relay = Relay("turns", name, port, "tcp")
    with _connected(host, port, tcp=True) as plain, _secured(plain, relay, context):
        pass


def is_local(address: str) -> bool:
    """Tell whether an address is one of this machine's own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _connected(host: str, port: int, *, tcp: bool) -> Iterator[socket.socket]:
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        connection = socket.socket(family, kind)
    except OSError as error:
        raise NotReached(_why(error)) from None
    with connection:
        try:
            connection.settimeout(TCP_SECONDS if tcp else UDP_SECONDS)
            connection.connect(address)
        except OSError as error:
            raise NotReached(_why(error)) from None
        yield connection


@contextlib.contextmanager
def _secured(
    plain: socket.socket, relay: Relay, context: ssl.SSLContext
) -> Iterator[socket.socket]:
    if relay.scheme != "turns":
        yield plain
        return
    try:
        secure = context.wrap_socket(plain, server_hostname=relay.host)
    except OSError as error:
        raise NotReached(_why(error)) from None
    with secure:
        yield secure


def _allocation() -> stun.Message:
    request = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)
    request.attributes["REQUESTED-TRANSPORT"] = UDP_RELAYED
    return request


def _signed(request: stun.Message, proof: dict[str, object], key: bytes) -> stun.Message:
    request.attributes.update(proof)
    request.add_message_integrity(key)
    return request


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as it should ({error.reason})"
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text
    return getattr(error, "strerror", None) or "the answer makes no sense"


_REASONS: Mapping[type[Exception], str] = {
    TimeoutError: "no answer",
    ConnectionRefusedError: "nobody listens there",
    ConnectionError: "the connection was closed",
    socket.gaierror: "the name is not known",
}

__all__ = ["Address", "NotReached", "Relay", "allocate", "check", "handshake", "is_local"]
