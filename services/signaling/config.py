"""What the signaling service needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`resume_seconds` is how long a broken conversation can be taken up; after `presence_seconds` the room is told so.

    `max_connections` is per process, `max_participants` per room; `max_connection_seconds` is the age at which a
    connection is cut, to be resumed. `origins` are those of pages that may connect beside our own. `simulate` lets clients
    have their own connections fail, for tests.
    """

    redis_url: str
    websocket_listen: str
    origins: tuple[str, ...] = ()
    resume_seconds: int = 30
    presence_seconds: int = 10
    max_connections: int = 2000
    max_participants: int = 1000
    max_connection_seconds: float = 12 * 3600.0
    simulate: bool = False
