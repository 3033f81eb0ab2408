"""The rules of webhooks: which addresses may be posted to, how a delivery is signed, when it is tried again. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit
from uuid import UUID

from chassis import paging
from chassis.errors import InvalidArgument, NotFound, ResourceExhausted

MAX_WEBHOOKS = 20
WINDOW = 1_000
"""How many deliveries of a webhook may be pending; what comes after waits in the log."""
PATIENCE = timedelta(days=3)
"""For how long an event is tried, and how long a webhook may fail before it is paused."""
FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=6)
SECRET_PREFIX = "whsec_"
CURSOR_KIND = "event"
NAT64 = IPv6Network("64:ff9b::/96")
LOCAL_NAMES = (".localhost", ".local", ".internal")


class WebhookNotFound(NotFound):
    """There is no such webhook, or it is another account's."""

    reason = "WEBHOOK_NOT_FOUND"
    message = "There is no such webhook."


class WebhookAddressInvalid(InvalidArgument):
    """Events are posted to https addresses out on the Internet alone, unless the operator allows others ([webhooks])."""

    reason = "WEBHOOK_ADDRESS_INVALID"
    message = "Webhooks need an https address that everybody can reach."


class TooManyWebhooks(ResourceExhausted):
    """An account has at most 20 webhooks. Delete one that is not in use."""

    reason = "TOO_MANY_WEBHOOKS"
    message = "No more webhooks fit into an account."


class TooManyWatchers(ResourceExhausted):
    """The caller watches events as often as one may at once. End a stream, or share one."""

    reason = "TOO_MANY_WATCHERS"
    message = "Too many streams of events are open."


class CursorInvalid(InvalidArgument):
    """The cursor is of no event that this server has given out, or what follows it is not kept any more (30 days).

    Begin without one, and read by other methods what may have been missed.
    """

    reason = "CURSOR_INVALID"
    message = "The cursor is not one from which events can be told."


class DeliveryState(Enum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook. `types` are the numbers of what it wants, none: all; `delivered` is the last event's that was taken."""

    id: UUID
    owner_id: UUID
    uri: str
    types: tuple[int, ...]
    create_time: datetime
    delivered: int | None = None
    pause_time: datetime | None = None

    @property
    def name(self) -> str:
        """The resource name, `webhooks/{id}`."""
        return f"webhooks/{self.id}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows beside https to public addresses: private addresses, and http."""

    private: bool = False
    http: bool = False


def check_uri(uri: str, policy: Policy) -> None:
    """See that an address may be posted to, as far as its text tells. Raises WebhookAddressInvalid."""
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise WebhookAddressInvalid from None
    if parts.scheme not in ("https", *(["http"] if policy.http else [])):
        raise WebhookAddressInvalid(text="The address must begin with https://.")
    if not host or parts.username is not None or parts.fragment or not uri.isascii():
        raise WebhookAddressInvalid(text="The address has no host, or a user or fragment in it.")
    if policy.private:
        return
    try:
        is_allowed = is_public(ip_address(host))
    except ValueError:
        name = f".{host.rstrip('.').lower()}"
        is_allowed = not name.endswith(LOCAL_NAMES)
    if not is_allowed:
        raise WebhookAddressInvalid(text="The address is not one that everybody can reach.")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is out on the Internet; one that wraps an IPv4 address is what that is."""
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            wrapped = IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def new_secret() -> str:
    """Make a signing secret."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def signature(secret: str, time: datetime, body: bytes) -> str:
    """Make the value of Parley-Signature: the HMAC-SHA256 (RFC 2104), in hex, of the seconds, a dot, and the body."""
    seconds = int(time.timestamp())
    signed = f"{seconds}.".encode() + body
    return f"t={seconds},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def delay(attempts: int, share: float) -> timedelta:
    """Tell how long to wait after so many attempts that failed, one at least.

    Twice as long each time; `share`, from 0 to 1, is drawn by lot and takes up to half of it away, so that many that failed
    together don't come back together.
    """
    whole = min(FIRST_DELAY * (1 << min(attempts - 1, 20)), LONGEST_DELAY)
    return whole * (1 - share / 2)


def is_given_up(create_time: datetime, now: datetime) -> bool:
    """Tell whether an event that has failed just now has been tried for long enough."""
    return now >= create_time + PATIENCE


def is_paused(failing_since: datetime, now: datetime) -> bool:
    """Tell whether a webhook has failed for so long that nothing is posted to it any more."""
    return now >= failing_since + PATIENCE


def cursor_of(sequence: int) -> str:
    """Make the cursor of an event."""
    return paging.encode((CURSOR_KIND, str(sequence)))


def sequence_of(cursor: str) -> int:
    """Read the number of the event that a cursor is of. Raises CursorInvalid."""
    try:
        kind, number = paging.decode(cursor)
    except (paging.PageTokenInvalid, ValueError):
        raise CursorInvalid from None
    if kind != CURSOR_KIND or not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise CursorInvalid
    return int(number)


def check_kept(sequence: int, last: int, swept: int) -> int:
    """See that what follows an event is kept. Returns the number again. Raises CursorInvalid."""
    if not swept <= sequence <= last:
        raise CursorInvalid
    return sequence


__all__ = [
    "MAX_WEBHOOKS",
    "PATIENCE",
    "WINDOW",
    "CursorInvalid",
    "DeliveryState",
    "Policy",
    "TooManyWatchers",
    "TooManyWebhooks",
    "Webhook",
    "WebhookAddressInvalid",
    "WebhookNotFound",
    "check_kept",
    "check_uri",
    "cursor_of",
    "delay",
    "is_given_up",
    "is_paused",
    "is_public",
    "new_secret",
    "sequence_of",
    "signature",
]
