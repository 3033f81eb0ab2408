"""The media library over real gRPC and Postgres: files come whole or not at all, to their owners alone, within their quota."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from parley.media.v1 import library_pb2, library_pb2_grpc

from chassis import channels, db
from chassis.clock import SystemClock
from chassis.errors import DomainError
from services.media.library.app import MIGRATIONS
from services.media.library.domain import QuotaExceeded, TooManyUploads
from services.media.library.objects import Objects
from services.media.library.servicer import LibraryServicer
from services.media.library.store import UPLOADS_AT_ONCE, LibraryStore
from services.media.library.uploads import ABANDONED, Library
from tests.conftest import DatabaseFactory

QUOTA = 1_000_000
LIMIT = 600_000
"""What one file may have here, in bytes."""


class LaterClock(SystemClock):
    """A clock that can be put forward."""

    ahead = timedelta(0)

    def now(self) -> Any:
        return super().now() + self.ahead


@dataclass
class Stand:
    library: Library
    folder: Path
    clock: LaterClock

    def on_disk(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async with db.connected(database("media"), MIGRATIONS) as opened:
        clock = LaterClock()
        store, objects = LibraryStore(opened, QUOTA), Objects(f"file://{tmp_path}")
        yield Stand(Library(store, objects, clock, LIMIT), tmp_path, clock)
    await asyncio.sleep(0.05)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 50_000):
        yield content[start : start + 50_000]


async def test_a_file_is_kept_as_it_came(stand: Stand) -> None:
    owner, content = uuid4(), os.urandom(300_000)
    media = await stand.library.add(owner, "a.bin", pieces(content))
    assert media.size_bytes == len(content)
    assert media.sha256 == hashlib.sha256(content).hexdigest()
    assert await stand.library.store.get(media.id, owner) == media
    assert b"".join([p async for p in stand.library.objects.get(str(media.id))]) == content


@pytest.mark.parametrize(
    ("content", "refusal"),
    [(b"", "FILE_EMPTY"), (b"MZ" + bytes(100), "FILE_TYPE_REFUSED"), (bytes(LIMIT + 1), "FILE_TOO_LARGE")],
)  # fmt: skip
async def test_what_is_refused_leaves_nothing(stand: Stand, content: bytes, refusal: str) -> None:
    owner = uuid4()
    with pytest.raises(DomainError) as refused:
        await stand.library.add(owner, "a", pieces(content))
    assert refused.value.reason == refusal
    assert not stand.on_disk()
    assert not await stand.library.store.page(owner, 10, None)


async def test_an_upload_that_breaks_off_leaves_nothing(stand: Stand) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1000)
            started.set()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(stand.library.add(uuid4(), "a", endless()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not stand.on_disk()
    stand.clock.ahead = ABANDONED * 2
    assert await stand.library.sweep() == 0


async def test_a_file_is_not_seen_before_it_is_whole(stand: Stand) -> None:
    owner, go_on = uuid4(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(1000)
        await go_on.wait()

    task = asyncio.create_task(stand.library.add(owner, "a", slow()))
    for _ in range(5):
        assert not await stand.library.store.page(owner, 10, None)
    go_on.set()
    media = await task
    assert await stand.library.store.page(owner, 10, None) == [media]


async def test_the_quota_holds_for_uploads_at_once(stand: Stand) -> None:
    owner, others = uuid4(), uuid4()
    adding = [stand.library.add(owner, "a", pieces(bytes(300_000))) for _ in range(6)]
    results = await asyncio.gather(*adding, return_exceptions=True)
    kept = [result for result in results if not isinstance(result, BaseException)]
    assert len(kept) == 3
    assert all(isinstance(result, QuotaExceeded) for result in results if result not in kept)
    assert stand.on_disk() == {str(media.id) for media in kept}
    await stand.library.add(others, "a", pieces(b"x"))
    await stand.library.remove(kept[0].id, owner)
    await stand.library.add(owner, "a", pieces(bytes(300_000)))


async def test_uploads_at_once_are_bounded(stand: Stand) -> None:
    owner = uuid4()
    now = stand.clock.now()
    for _ in range(UPLOADS_AT_ONCE):
        await stand.library.store.begin(uuid4(), owner, "a", now)
    with pytest.raises(TooManyUploads):
        await stand.library.add(owner, "a", pieces(b"x"))


async def test_what_a_dead_process_left_is_swept(stand: Stand) -> None:
    owner, left = uuid4(), uuid4()
    await stand.library.store.begin(left, owner, "a", stand.clock.now())
    (stand.folder / str(left)).write_bytes(b"half")
    (stand.folder / f"{left}#1").write_bytes(b"half")
    kept = await stand.library.add(owner, "b", pieces(b"whole"))
    assert await stand.library.sweep() == 0, "it may still be coming"
    stand.clock.ahead = ABANDONED * 2
    assert await stand.library.sweep() == 1
    assert stand.on_disk() == {str(kept.id)}


async def test_pages_go_from_the_newest_to_the_oldest(stand: Stand) -> None:
    owner = uuid4()
    added = [await stand.library.add(owner, str(n), pieces(b"x")) for n in range(5)]
    first = await stand.library.store.page(owner, 3, None)
    rest = await stand.library.store.page(owner, 3, (first[-1].create_time, first[-1].id))
    assert [media.id for media in (*first, *rest)] == [media.id for media in reversed(added)]


@pytest.fixture
async def stub(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    caller = UUID(int=7)
    monkeypatch.setattr("services.media.library.servicer._caller", lambda: caller)
    server = grpc.aio.server()
    library_pb2_grpc.add_LibraryServiceServicer_to_server(LibraryServicer(stand.library), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", channels.OPTIONS) as channel:
        yield library_pb2_grpc.LibraryServiceStub(channel)
    await server.stop(None)


async def test_bytes_go_in_and_out_over_grpc(stub: Any) -> None:
    content = os.urandom(200_000)

    async def upload() -> AsyncIterator[library_pb2.UploadMediaRequest]:
        yield library_pb2.UploadMediaRequest(name="a.bin")
        async for piece in pieces(content):
            yield library_pb2.UploadMediaRequest(body=HttpBody(data=piece))

    media = await stub.UploadMedia(upload())
    request = library_pb2.DownloadMediaRequest(name=media.name)
    assert b"".join([body.data async for body in stub.DownloadMedia(request)]) == content
    offloaded = stub.DownloadMedia(request, metadata=(("x-parley-offload", "1"),))
    headers = dict(await offloaded.initial_metadata())
    assert headers["x-accel-redirect"] == f"/_media/file/{media.name.removeprefix('media/')}"
    assert [body.data async for body in offloaded] == [b""]
