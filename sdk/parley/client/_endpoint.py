"""Where a server is, and channels to it: TLS unless the address is on this machine, or plain is asked for."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc

VERSION = "0.1.0"

_OPTIONS = (
    ("grpc.primary_user_agent", f"parley-sdk/{VERSION}"),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A conversation can be taken up for 30 seconds: gRPC's own 2 minutes between attempts are too long.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's gateway: `target` is host:port; `roots` (PEM) are trusted instead of the machine's own."""

    target: str
    secure: bool
    roots: bytes | None = None

    @classmethod
    def at(cls, url: str, *, roots: bytes | None = None, plain: bool = False) -> Endpoint:
        """Read an address, https://host[:port]. Raises ValueError for others.

        http:// is for loopback addresses, since passwords and tokens travel on it, or where `plain` says so.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in {"http", "https"} or not host:
            raise ValueError(f"An address is https://host[:port], not {url!r}.")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError(f"An address has nothing but a host and a port: {url!r}.")
        secure = parts.scheme == "https"
        if not secure and not plain and not _is_loopback(host):
            raise ValueError(f"{host} is not this machine: use https://, or say plain=True.")
        port = parts.port or (443 if secure else 80)
        return cls(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", secure, roots)

    def channel(self, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> grpc.aio.Channel:
        """Open a channel; it connects when it is first used."""
        if not self.secure:
            return grpc.aio.insecure_channel(self.target, _OPTIONS, interceptors=interceptors)
        credentials = grpc.ssl_channel_credentials(self.roots)
        return grpc.aio.secure_channel(
            self.target, credentials, _OPTIONS, interceptors=interceptors
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["VERSION", "Endpoint"]
