"""The gateway as clients reach it: one address, over which HTTP, WebSockets and gRPC go, with or without TLS."""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
from cryptography import x509
from cryptography.x509.oid import NameOID

PATIENCE_SECONDS = 30.0
HAS_HTTP2 = importlib.util.find_spec("h2") is not None
"""httpx speaks HTTP/2 (on HTTPS) only where h2 is installed."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """`url` is http(s)://host[:port]; `ca` is a PEM file to trust alone; `insecure` trusts whoever answers."""

    url: str
    ca: Path | None = None
    insecure: bool = False

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return urlsplit(self.url).scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        """Give the host and the port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.is_secure else 80)

    def websocket_url(self, path: str) -> str:
        """Give a WebSocket's address."""
        return "ws" + self.url.removeprefix("http") + path

    def tls(self) -> ssl.SSLContext | None:
        """Make what checks the server's certificate; None without TLS. Raises OSError for a CA that can't be read."""
        if not self.is_secure:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def http(self, connections: int = 20) -> httpx.AsyncClient:
        """Open an HTTP client that follows no redirects, with at most so many connections."""
        return httpx.AsyncClient(
            base_url=self.url,
            timeout=PATIENCE_SECONDS,
            http2=HAS_HTTP2,
            verify=self.tls() or True,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def channel(self) -> grpc.aio.Channel:
        """Open a gRPC channel. Raises OSError when `insecure` finds no certificate to trust."""
        host, port = self.address
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if not self.is_secure:
            return grpc.aio.insecure_channel(target)
        if self.insecure:
            get = partial(ssl.get_server_certificate, self.address, timeout=PATIENCE_SECONDS)
            return _unchecked_channel(target, await asyncio.to_thread(get))
        roots = self.ca.read_bytes() if self.ca else None
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(roots))


def _unchecked_channel(target: str, shown: str) -> grpc.aio.Channel:
    """Trust the very certificate that the server has shown, by the name in it: gRPC can't leave the check out."""
    certificate = shown.encode()
    name = _name(x509.load_pem_x509_certificate(certificate))
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(certificate), options)


def _name(certificate: x509.Certificate) -> str:
    """Read a name that a certificate is for; empty when it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(common[0].value) if common else ""
    return next((str(each.value) for each in names), "")


__all__ = ["PATIENCE_SECONDS", "Gateway"]
