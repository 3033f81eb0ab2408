"""Where a call comes from, as its headers say: the gateway writes the address, the client the rest."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from chassis.languages import ENGLISH, preferred_language

USER_AGENT_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """An IP address (empty when it is not known), a user agent of at most 256 characters, and `en` or `zh`."""

    address: str = ""
    user_agent: str = ""
    language: str = ENGLISH

    @property
    def network(self) -> str:
        """What one person has at least: an IPv4 address, or the /64 of an IPv6 address."""
        if ":" not in self.address:
            return self.address
        return str(ipaddress.ip_network((self.address, 64), strict=False))


def origin(context: Any) -> Origin:
    """Read where the call that is being served comes from."""
    headers = {
        key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
    }
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    agent = "".join(filter(str.isprintable, headers.get("user-agent", "")))
    return Origin(
        _address(forwarded) or _address(_host(context.peer())),
        agent[:USER_AGENT_LIMIT],
        preferred_language(headers.get("accept-language", "")),
    )


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _host(peer: str) -> str:
    """Read the host out of gRPC's name of a peer, such as `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]")


__all__ = ["Origin", "origin"]
