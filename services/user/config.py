"""What the user service needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """Lifetimes are in seconds; `hashing_threads` bounds how many passwords are hashed at once."""

    database_url: str
    access_token_seconds: int = 900
    session_seconds: int = 30 * 24 * 3600
    hashing_threads: int = 2
    hashing_queue: int = 64
