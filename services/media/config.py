"""What a media worker needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`advertise` are the addresses that go into candidates, on the port of `udp_listen`, which is TCP's as well.

    `fanout` is `auto`, `compiled` or `python`. `probe_secret`, if set, lets whoever knows it check that this port is
    reached.
    """

    redis_url: str
    node_id: str
    udp_listen: str
    advertise: tuple[str, ...] = ("127.0.0.1",)
    fanout: str = "auto"
    probe_secret: str = field(default="", repr=False)
    max_rooms: int = 500
    max_peers: int = 2_000
    max_packets: int = 100_000
    """Packets a second, in and out, at which the worker counts as fully busy; its CPU and its loop count by themselves."""
    max_peers_per_room: int = 500
