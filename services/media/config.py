"""What a media worker needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`advertise` are the addresses that go into candidates, on the port of `udp_listen`.

    `fanout` is `auto`, `compiled` or `python`.
    """

    redis_url: str
    node_id: str
    udp_listen: str
    advertise: tuple[str, ...] = ("127.0.0.1",)
    fanout: str = "auto"
    max_rooms: int = 500
    max_peers_per_room: int = 500
