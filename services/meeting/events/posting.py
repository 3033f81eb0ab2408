"""Posts events to addresses that strangers chose: to where the name leads now, if that is out on the Internet.

The name is resolved at each POST, and the connection is made to the very address that was checked, so that a name which
leads elsewhere a moment later (DNS rebinding) leads nowhere. Redirects are not followed, proxies of the environment not
used, and of the answer nothing is read but its head.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

import httpx

from services.meeting.events.webhook import Policy, WebhookAddressInvalid, check_uri, is_public

POST_SECONDS = 10.0
"""From the resolution of the name to the head of the answer."""
CONNECTIONS = 64

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Finds the addresses of a name, best first. Raises OSError."""


class PostFailed(Exception):
    """There was no answer; the text says why, and has nothing of the address in it."""


async def resolved(host: str, port: int) -> list[str]:
    """Ask the system where a name leads. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]


class Poster:
    """Posts, as the operator's policy allows."""

    def __init__(
        self, policy: Policy, resolve: Resolve = resolved, seconds: float = POST_SECONDS
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            trust_env=False,
            timeout=seconds,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0),
        )

    async def post(self, uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a body; returns the HTTP status. Raises PostFailed."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(httpx.URL(uri), body, headers)
        except (WebhookAddressInvalid, PostFailed):
            raise PostFailed("the address is not allowed") from None
        except TimeoutError:
            raise PostFailed("no answer in time") from None
        except (OSError, UnicodeError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise PostFailed(type(error).__name__) from None

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()

    async def _post(self, uri: httpx.URL, body: bytes, headers: Mapping[str, str]) -> int:
        check_uri(str(uri), self._policy)
        port = uri.port or (443 if uri.scheme == "https" else 80)
        allowed = [
            each
            for each in await self._resolve(uri.host, port)
            if self._policy.private or is_public(ip_address(each.partition("%")[0]))
        ]
        if not allowed:
            raise PostFailed
        async with self._client.stream(
            "POST",
            uri.copy_with(host=allowed[0]),
            content=body,
            headers={**headers, "Host": uri.netloc.decode("ascii")},
            extensions={"sni_hostname": uri.host},
        ) as response:
            return response.status_code


__all__ = ["PostFailed", "Poster", "Resolve", "resolved"]
