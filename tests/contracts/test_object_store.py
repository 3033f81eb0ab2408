"""The object store, one suite on both kinds: what is put whole can be read, what broke off is not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from chassis import db
from chassis.clock import SystemClock
from services.media.library.app import MIGRATIONS
from services.media.library.domain import MediaNotFound
from services.media.library.objects import PART_BYTES, Objects
from services.media.library.store import LibraryStore
from services.media.library.uploads import ABANDONED, Library
from tests.conftest import DatabaseFactory
from tests.object_stores import BUCKET, S3Server, s3_running
from tests.servers import open_folder


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_running() as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
async def objects(request: pytest.FixtureRequest) -> AsyncIterator[Objects]:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        yield Objects(server.url, server.access)
    else:
        with open_folder() as folder:
            yield Objects(f"file://{folder}")
    await asyncio.sleep(0.05)


async def pieces(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(objects: Objects, key: str) -> bytes:
    return b"".join([piece async for piece in objects.get(key)])


@pytest.mark.parametrize("size", [1, 1000, PART_BYTES, 2 * PART_BYTES + 1])
async def test_what_was_put_is_read(objects: Objects, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    await objects.put("whole", pieces(content[:size]))
    assert await read(objects, "whole") == content[:size]


@pytest.mark.parametrize("size", [1000, 2 * PART_BYTES])
async def test_what_breaks_off_is_not_there(objects: Objects, size: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(size)):
            yield piece
        raise RuntimeError("the sender is gone")

    with pytest.raises(Exception, match="the sender is gone"):
        await objects.put("broken", broken())
    with pytest.raises(FileNotFoundError):
        await read(objects, "broken")


async def test_what_is_cancelled_is_not_there(objects: Objects) -> None:
    with pytest.raises(FileNotFoundError):
        await cancelled(objects)


async def test_what_is_cancelled_leaves_no_parts_in_the_bucket(s3: S3Server) -> None:
    with pytest.raises(FileNotFoundError):
        await cancelled(Objects(s3.url, s3.access))
    assert await asyncio.to_thread(s3.unfinished) == 0


async def cancelled(objects: Objects) -> None:
    """Break an upload of several parts off while its next piece is awaited, then read what is there."""
    come = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(PART_BYTES)
        come.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(objects.put("cancelled", slow()))
    await come.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await read(objects, "cancelled")


async def test_what_is_swept_while_it_comes_leaves_nothing(
    s3: S3Server, database: DatabaseFactory
) -> None:
    objects = Objects(s3.url, s3.access)
    come, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"half"
        come.set()
        await go_on.wait()

    async with db.connected(database("media"), MIGRATIONS) as opened:
        store, clock = LibraryStore(opened, 1000), SystemClock()
        library = Library(store, objects, clock, 1000)
        adding = asyncio.create_task(library.add(uuid4(), "a", slow()))
        await come.wait()
        (media_id,) = await store.left_behind(clock.now() + ABANDONED)
        assert await store.give_up(media_id)
        await store.forget(media_id)
        go_on.set()
        with pytest.raises(MediaNotFound):
            await adding
    with pytest.raises(FileNotFoundError):
        await read(objects, str(media_id))


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(objects: Objects) -> None:
    await objects.put("short-lived", pieces(b"x"))
    await objects.delete("short-lived")
    await objects.delete("short-lived")
    with pytest.raises(FileNotFoundError):
        await read(objects, "short-lived")


async def test_a_signed_address_opens_one_object(s3: S3Server) -> None:
    objects = Objects(s3.url, s3.access)
    await objects.put("signed", pieces(b"0123456789"))
    async with httpx.AsyncClient() as client:
        ranged = await client.get(await objects.signed("signed"), headers={"range": "bytes=2-4"})
        assert (ranged.status_code, ranged.content) == (206, b"234")
        plain = await client.get(f"{s3.access.endpoint}/{BUCKET}/library/signed")
    assert plain.status_code == 403


async def test_nothing_is_left_of_a_broken_upload(tmp_path: Path) -> None:
    objects = Objects(f"file://{tmp_path}")

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * PART_BYTES)
        raise RuntimeError("the sender is gone")

    with pytest.raises(Exception, match="the sender is gone"):
        await objects.put("broken", broken())
    await objects.delete("broken")
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
