"""What the meeting service needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.mail import MailConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(MailConfig):
    """`ice_urls` are STUN servers for browsers, if any; `ticket_seconds` is how long a ticket can be used.

    `turn_urls` are the relay's addresses, `turn_secret` is what it shares with us, and `turn_seconds` is how long a
    browser may begin relaying with the credentials that it was given: as long as a signaling connection may last.

    `emotions` is the operator's policy: whether faces may be read at all. So are `webhook_private`, whether webhooks may be at
    addresses of private networks and this machine, and `webhook_http`, whether at http ones. `event_poll_seconds` is how
    often it is looked what has happened that webhooks and streams of events are to be told.
    """

    database_url: str
    ticket_seconds: int = 600
    ice_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = field(default="", repr=False)
    turn_seconds: int = 43_200
    emotions: bool = False
    webhook_private: bool = False
    webhook_http: bool = False
    event_poll_seconds: float = 0.5
