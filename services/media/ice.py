"""ICE-lite (RFC 8445 §2.5), sans I/O: answers connectivity checks, and learns from them where the peer is.

A lite agent sends no checks of its own. The peer's address is that of its last authenticated check: browsers move
their candidate pair when a better one works, and traffic follows. Between two workers the one that calls sends the
checks: `IceCaller`.
"""

from __future__ import annotations

import ipaddress
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import stun

Address = tuple[str, int]
"""Where a peer is: the host as the socket tells it, and the port."""

UFRAG_BYTES = 6
PASSWORD_BYTES = 18
MAX_ADDRESSES = 16
"""Of one peer: a browser with two networks tries each of ours from both, over UDP and over TCP."""
MAX_CHECK_BYTES = 1024
HOST_PRIORITY = (126 << 24) + (65_535 << 8) + 255
"""Of a host candidate (RFC 8445 §5.1.2.1)."""


class StreamAddress(Address):
    """The far end of a TCP connection (tcp.py): of the same numbers as another address, it is still not that one."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__

    @abstractmethod  # without ABC: its instance checks would cost on the hot path
    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send datagrams through the connection."""

    @abstractmethod
    def close(self, why: str = "") -> None:
        """End the connection, if it has not ended."""


class CheckInvalid(Exception):
    """What came is no connectivity check of this peer's; it gets no answer."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username fragment and a password (RFC 8445 §5.3)."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class Check:
    """A binding request that was read but not yet authenticated. `ufrag` is the one that we gave out."""

    message: stun.Message
    ufrag: str


def new_credentials() -> Credentials:
    """Make credentials: the ufrag also finds the transport on the worker's one port."""
    return Credentials(secrets.token_hex(UFRAG_BYTES), secrets.token_urlsafe(PASSWORD_BYTES))


def read_check(datagram: bytes) -> Check:
    """Read a STUN datagram. Raises CheckInvalid for all but binding requests that name a ufrag."""
    message = _parsed(datagram)
    is_request = message.message_class == stun.Class.REQUEST
    username = message.attributes.get("USERNAME", "")
    if not is_request or message.message_method != stun.Method.BINDING or ":" not in username:
        raise CheckInvalid
    return Check(message, username.split(":")[0])


def _parsed(datagram: bytes) -> stun.Message:
    if len(datagram) > MAX_CHECK_BYTES:
        raise CheckInvalid
    try:
        return stun.parse_message(datagram)
    except (ValueError, KeyError, IndexError, UnicodeError, stun.TransactionError) as error:
        raise CheckInvalid from error
    except Exception as error:  # struct.error and whatever else a parser may raise on hostile bytes
        raise CheckInvalid from error


class IceLite:
    """Our side of one transport's ICE."""

    def __init__(self) -> None:
        self.local = new_credentials()
        self._before: Credentials | None = None
        self.address: Address | None = None
        self.addresses: list[Address] = []
        self.last_check = 0.0

    @property
    def ufrags(self) -> list[str]:
        """The ufrags by which checks find this transport: after a restart, the old one until the new one is used."""
        return [each.ufrag for each in (self.local, self._before) if each is not None]

    def restart(self) -> None:
        """Give out new credentials (RFC 8445 §9); traffic goes on where it went until the peer checks with them."""
        self._before = self.local
        self.local = new_credentials()

    def answer(self, check: Check, source: Address, now: float) -> bytes:
        """Authenticate a check, learn the peer's address from it, and answer. Raises CheckInvalid."""
        credentials = next(
            (c for c in (self.local, self._before) if c is not None and c.ufrag == check.ufrag),
            None,
        )
        if credentials is None:
            raise CheckInvalid
        response = respond(check, credentials.password, source)
        self.last_check = now
        if credentials is self.local:
            self._before = None
        if self.address is None or "USE-CANDIDATE" in check.message.attributes:
            self.address = source
        self._note(source)
        return response

    def lose(self, address: Address) -> None:
        """An address can no more be reached: traffic goes to the one that was checked last of those that remain."""
        self.addresses = [each for each in self.addresses if each != address]
        if self.address == address:
            self.address = self.addresses[-1] if self.addresses else None

    def _note(self, source: Address) -> None:
        """Keep the addresses that were checked last, and the one that traffic goes to."""
        before = [each for each in self.addresses if each not in (source, self.address)]
        kept = [] if self.address in (source, None) else [self.address]
        self.addresses = [*before[-(MAX_ADDRESSES - 1 - len(kept)) :], *kept, source]


class IceCaller(IceLite):
    """The controlling side, of a peer that is lite: its addresses are known, and the first that answers is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._tie_breaker = secrets.randbits(64)

    def request(self, remote: Credentials) -> stun.Message:
        """Make a check for the peer (RFC 8445 §7.2.4); while it is answered, consent goes on (RFC 7675)."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{remote.ufrag}:{self.local.ufrag}"
        message.attributes["PRIORITY"] = HOST_PRIORITY
        message.attributes["ICE-CONTROLLING"] = self._tie_breaker
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(remote.password.encode())
        return message

    def answered(self, datagram: bytes, remote: Credentials, source: Address, now: float) -> None:
        """Take the answer to a check. Raises CheckInvalid."""
        message = _parsed(datagram)
        is_answer = message.message_class == stun.Class.RESPONSE
        if not is_answer or not message.check_message_integrity(remote.password.encode()):
            raise CheckInvalid
        self.last_check = now
        self.address = self.address or source
        self._note(source)


def respond(check: Check, password: str, source: Address) -> bytes:
    """Answer a check that was made with `password`. Raises CheckInvalid for all others."""
    key = password.encode()
    if not check.message.check_message_integrity(key):  # false also where there is none
        raise CheckInvalid
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=check.message.transaction_id,
    )
    response.attributes["XOR-MAPPED-ADDRESS"] = seen_as(source)
    response.add_message_integrity(key)
    return bytes(response)


def seen_as(source: Address) -> Address:
    """Write an address as its peer knows it: an IPv4 one in the form of IPv6 (RFC 4291 §2.5.5.2) as IPv4."""
    host, port = source
    if host.startswith("::ffff:") and (mapped := ipaddress.IPv6Address(host).ipv4_mapped):
        return str(mapped), port
    return host, port


__all__ = [
    "Address",
    "Check",
    "CheckInvalid",
    "Credentials",
    "IceCaller",
    "IceLite",
    "StreamAddress",
    "read_check",
    "respond",
    "seen_as",
]
