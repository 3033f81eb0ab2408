"""What the signaling service needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`resume_seconds` is how long a broken conversation can be taken up; limits are per process."""

    redis_url: str
    websocket_listen: str
    resume_seconds: int = 30
    max_connections: int = 2000
