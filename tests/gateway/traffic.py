"""Readers and writers that keep a gateway busy while something is done to it, and count every request that fails."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

READERS = 8
WRITERS = 2


@dataclass
class Traffic:
    """What happened to all requests so far: `failed` counts what was not answered with 200, by what it was."""

    reads: int = 0
    writes: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    created: dict[str, set[str]] = field(default_factory=dict)
    """For each request_id the meetings that its answers named: one each, or a write was done twice."""


@asynccontextmanager
async def traffic(url: str, tokens: list[str], paths: list[str]) -> AsyncIterator[Traffic]:
    """Keep asking for `paths`, and making meetings, each as one of `tokens`, until the block ends."""
    seen, done = Traffic(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for index in range(READERS):
            group.create_task(_read(url, tokens[index % len(tokens)], paths, seen, done))
        for index in range(WRITERS):
            group.create_task(_write(url, tokens[index % len(tokens)], seen, done))
        try:
            yield seen
        finally:
            done.set()


async def _read(url: str, token: str, paths: list[str], seen: Traffic, done: asyncio.Event) -> None:
    """Ask on one kept connection after the other; a new one is opened only where the gateway said that it closes."""
    host, port = url.removeprefix("http://").split(":")
    while not done.is_set():
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            await _read_on(reader, writer, token, paths, seen, done)
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.failed[type(error).__name__] += 1


async def _read_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    token: str,
    paths: list[str],
    seen: Traffic,
    done: asyncio.Event,
) -> None:
    for path in itertools.cycle(paths):
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r")[0]
        await reader.readexactly(int(length))
        seen.reads += 1
        if (status := head.split()[1]) != "200":
            seen.failed[f"{status} {path}"] += 1
        if done.is_set() or "connection: close" in head:
            return


async def _write(url: str, token: str, seen: Traffic, done: asyncio.Event) -> None:
    """Make meetings; one that was not answered is asked for again under the same request_id, as clients should."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        while not done.is_set():
            request_id = str(uuid.uuid4())
            once = {"request_id": request_id}
            body = {"title": secrets.token_hex(4)}
            names = seen.created.setdefault(request_id, set())
            for _ in range(20):
                try:
                    answer = await client.post("/api/v1/meetings", params=once, json=body)
                except httpx.TransportError:
                    continue
                seen.writes += 1
                if answer.status_code == 200:
                    names.add(answer.json()["name"])
                    break
            else:
                seen.failed["a write was never answered"] += 1
            await asyncio.sleep(0.02)


__all__ = ["Traffic", "traffic"]
