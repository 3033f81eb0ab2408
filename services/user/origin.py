"""Where a call comes from, as its headers say: the gateway writes the address, the client the rest."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

USER_AGENT_LIMIT = 256
CHINESE = "zh"
ENGLISH = "en"
LANGUAGES = (ENGLISH, CHINESE)

_PREFERENCE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*"
)


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


def preferred_language(header: str) -> str:
    """Choose of the languages that we write the one that Accept-Language (RFC 9110 §12.5.4) likes best."""
    best, weight = ENGLISH, 0.0
    for part in header[:1024].split(","):
        if (found := _PREFERENCE.fullmatch(part)) is None:
            continue
        language, liked = found[1].lower(), float(found[2] or 1)
        if language in LANGUAGES and liked > weight:
            best, weight = language, liked
    return best


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


__all__ = ["CHINESE", "ENGLISH", "Origin", "origin", "preferred_language"]
