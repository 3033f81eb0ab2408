"""What the meeting service needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`ice_urls` are STUN servers for browsers, if any; `ticket_seconds` is how long a ticket can be used."""

    database_url: str
    ticket_seconds: int = 600
    ice_urls: tuple[str, ...] = ()
