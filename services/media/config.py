"""What a media worker needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.config import ConfigError, ServiceConfig

MAX_LAST_N = 500


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
    """People of one room on this worker; those who come then are placed on another, with which it exchanges tracks."""
    relay_advertise: tuple[str, ...] = ()
    """Addresses at which other workers reach the port; those of `advertise` when there are none."""
    last_n: int = 25
    """Cameras of a room that are forwarded at once: those of who spoke last. From 1 to MAX_LAST_N."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what is out of bounds."""
        if not 1 <= self.last_n <= MAX_LAST_N:
            raise ConfigError(f"PARLEY_LAST_N is {self.last_n}; it is from 1 to {MAX_LAST_N}.")
