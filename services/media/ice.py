"""ICE-lite (RFC 8445 §2.5), sans I/O: answers connectivity checks, and learns from them where the peer is.

A lite agent sends no checks of its own. The peer's address is that of its last authenticated check: browsers move
their candidate pair when a better one works, and traffic follows.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aioice import stun

Address = tuple[str, int]

UFRAG_BYTES = 6
PASSWORD_BYTES = 18
MAX_ADDRESSES = 8
MAX_CHECK_BYTES = 1024


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
    if len(datagram) > MAX_CHECK_BYTES:
        raise CheckInvalid
    try:
        message = stun.parse_message(datagram)
    except (ValueError, KeyError, IndexError, UnicodeError, stun.TransactionError) as error:
        raise CheckInvalid from error
    except Exception as error:  # struct.error and whatever else a parser may raise on hostile bytes
        raise CheckInvalid from error
    is_request = message.message_class == stun.Class.REQUEST
    username = message.attributes.get("USERNAME", "")
    if not is_request or message.message_method != stun.Method.BINDING or ":" not in username:
        raise CheckInvalid
    return Check(message, username.split(":")[0])


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
        key = credentials.password.encode()
        if not check.message.check_message_integrity(key):  # false also where there is none
            raise CheckInvalid
        self.last_check = now
        if credentials is self.local:
            self._before = None
        if self.address is None or "USE-CANDIDATE" in check.message.attributes:
            self.address = source
        if source not in self.addresses:
            self.addresses = [*self.addresses[-MAX_ADDRESSES + 1 :], source]
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=check.message.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = source
        response.add_message_integrity(key)
        return bytes(response)


__all__ = ["Address", "Check", "CheckInvalid", "Credentials", "IceLite", "read_check"]
