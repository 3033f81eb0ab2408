"""The media library over real gRPC and Postgres: files come whole or not at all, to their owners alone, within their quota."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api.httpbody_pb2 import HttpBody
from google.rpc.error_details_pb2 import ErrorInfo
from parley.media.v1 import library_pb2, library_pb2_grpc
from parley.meeting.v1 import chat_pb2, chat_pb2_grpc
from parley.user.v1 import user_pb2_grpc

from chassis import channels, db
from chassis.auth import ServiceIdentity
from chassis.clock import SystemClock
from chassis.config import ServiceConfig
from chassis.errors import DomainError
from chassis.server import serving
from services.media.library.app import MIGRATIONS, running
from services.media.library.config import Config
from services.media.library.domain import QuotaExceeded, TooManyUploads
from services.media.library.objects import Objects
from services.media.library.store import UPLOADS_AT_ONCE, LibraryStore
from services.media.library.uploads import ABANDONED, Library
from tests.conftest import DatabaseFactory
from tests.identities import make_identities
from tests.media_room import until
from tests.user_keys import Keys, credentials

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
    database: db.Database
    address: str

    def on_disk(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    url = database("media")
    async with db.connected(url, MIGRATIONS) as opened:
        clock = LaterClock()
        store, objects = LibraryStore(opened, QUOTA), Objects(f"file://{tmp_path}")
        address = url.replace("postgresql+psycopg", "postgresql")
        yield Stand(Library(store, objects, clock, LIMIT), tmp_path, clock, opened, address)
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


async def test_an_upload_that_breaks_off_at_once_holds_no_place(stand: Stand) -> None:
    owner, noted = uuid4(), asyncio.Event()

    class Noting(LibraryStore):
        """Tells when a row is there, and is slow to go on."""

        async def begin(self, *given: Any) -> Any:
            left = await super().begin(*given)
            noted.set()
            await asyncio.Event().wait()
            return left

    stand.library.store = Noting(stand.database, QUOTA)
    task = asyncio.create_task(stand.library.add(owner, "a", pieces(b"x")))
    await noted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await stand.library.store.left_behind(stand.clock.now() + ABANDONED)


async def test_a_break_of_the_database_does_not_give_an_upload_up(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.media.library.uploads.TOUCH_SECONDS", 0.02)
    come, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(1000)
        come.set()
        await go_on.wait()

    task = asyncio.create_task(stand.library.add(uuid4(), "a", slow()))
    await come.wait()
    with psycopg.connect(stand.address, autocommit=True) as watching:
        watching.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        before = stand.clock.now()
        stand.clock.ahead = ABANDONED
        touched = "SELECT count(*) FROM media WHERE touch_time > %s"
        later = (before + ABANDONED / 2,)
        await until(lambda: watching.execute(touched, later).fetchone() == (1,))
    go_on.set()
    await task


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


class Chats(chat_pb2_grpc.SharingServiceServicer):
    """A meeting service that knows what is shared: files with everybody."""

    def __init__(self) -> None:
        self.shared: set[str] = set()

    async def CheckSharing(
        self, request: chat_pb2.CheckSharingRequest, context: Any
    ) -> chat_pb2.CheckSharingResponse:
        assert request.owner != request.user
        return chat_pb2.CheckSharingResponse(shared=request.media in self.shared)


@dataclass
class Service:
    """The whole media library, as it is run, and the key that signs its callers' tokens."""

    address: str
    metrics: str
    folder: Path
    key: Ed25519PrivateKey
    chats: Chats

    def on_disk(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    async def idle(self) -> None:
        """Wait until no upload is being served."""
        open_calls = 'grpc_calls_open{method="/parley.media.v1.LibraryService/UploadMedia"} 0.0'
        async with httpx.AsyncClient() as client, asyncio.timeout(20):
            while open_calls not in (await client.get(self.metrics)).text:  # noqa: ASYNC110  # metrics don't tell of changes
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[grpc.aio.Channel]:
        async with grpc.aio.insecure_channel(self.address, channels.OPTIONS) as channel:
            yield channel

    def caller(self) -> tuple[tuple[str, str], ...]:
        """Sign somebody in; gives what their calls carry."""
        return credentials(self.key)


@pytest.fixture
async def service(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Service]:
    identities = make_identities(tmp_path / "identities")
    folder = tmp_path / "files"
    folder.mkdir()
    common: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "trust": identities / "trust.jwks",
        "drain_seconds": 0.0,
    }
    user = ServiceConfig(mesh="", service_key=identities / "user.key", **common)
    key = Ed25519PrivateKey.generate()
    chats = Chats()
    servicers = {
        user_pb2_grpc.add_AuthServiceServicer_to_server: Keys(key),
        chat_pb2_grpc.add_SharingServiceServicer_to_server: chats,
    }
    async with serving(user, "user", ServiceIdentity.load(user, "user"), None, servicers) as keys:
        config = Config(
            mesh=f"127.0.0.1:{keys.port}",
            service_key=identities / "media.key",
            database_url=database("media"),
            object_store=f"file://{folder}",
            quota_bytes=QUOTA,
            upload_limit_bytes=LIMIT,
            **common,
        )
        async with running(config) as server:
            metrics = f"http://127.0.0.1:{server.metrics_port}/metrics"
            yield Service(f"127.0.0.1:{server.port}", metrics, folder, key, chats)


@pytest.fixture
async def stub(service: Service) -> AsyncIterator[Any]:
    async with service.client() as channel:
        yield library_pb2_grpc.LibraryServiceStub(channel)


async def messages(
    content: bytes, name: str = "a.bin"
) -> AsyncIterator[library_pb2.UploadMediaRequest]:
    yield library_pb2.UploadMediaRequest(name=name)
    async for piece in pieces(content):
        yield library_pb2.UploadMediaRequest(body=HttpBody(data=piece))


def reason(error: grpc.aio.AioRpcError) -> str:
    status = channels.status(error)
    assert status is not None
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return reason(refused.value)


async def test_bytes_go_in_and_out_over_grpc(stub: Any, service: Service) -> None:
    ann, content = service.caller(), os.urandom(200_000)
    media = await stub.UploadMedia(messages(content), metadata=ann)
    assert media.sha256 == hashlib.sha256(content).hexdigest()
    request = library_pb2.DownloadMediaRequest(name=media.name)
    downloaded = [body.data async for body in stub.DownloadMedia(request, metadata=ann)]
    assert b"".join(downloaded) == content
    offloaded = stub.DownloadMedia(request, metadata=(*ann, ("x-parley-offload", "1")))
    headers = dict(await offloaded.initial_metadata())
    assert headers["x-accel-redirect"] == f"/_media/file/{media.name.removeprefix('media/')}"
    assert [body.data async for body in offloaded] == [b""]


async def test_a_file_that_is_shared_is_read_by_others_and_deleted_by_its_owner_alone(
    stub: Any, service: Service
) -> None:
    ann, eve = service.caller(), service.caller()
    media = await stub.UploadMedia(messages(b"for all"), metadata=ann)
    service.chats.shared.add(media.name)
    get = library_pb2.GetMediaRequest(name=media.name)
    download = library_pb2.DownloadMediaRequest(name=media.name)
    assert await stub.GetMedia(get, metadata=eve) == media
    assert [body.data async for body in stub.DownloadMedia(download, metadata=eve)] == [b"for all"]
    delete = library_pb2.DeleteMediaRequest(name=media.name)
    assert await refusal(stub.DeleteMedia(delete, metadata=eve)) == "MEDIA_NOT_FOUND"
    service.chats.shared.clear()
    assert await refusal(stub.GetMedia(get, metadata=eve)) == "MEDIA_NOT_FOUND"


async def test_a_file_is_its_owners_alone_until_it_is_gone(stub: Any, service: Service) -> None:
    ann, eve = service.caller(), service.caller()
    media = await stub.UploadMedia(messages(b"secret"), metadata=ann)
    get = library_pb2.GetMediaRequest(name=media.name)
    download = library_pb2.DownloadMediaRequest(name=media.name)
    delete = library_pb2.DeleteMediaRequest(name=media.name)
    assert await refusal(stub.GetMedia(get, metadata=eve)) == "MEDIA_NOT_FOUND"
    assert await refusal(stub.DownloadMedia(download, metadata=eve).read()) == "MEDIA_NOT_FOUND"
    assert await refusal(stub.DeleteMedia(delete, metadata=eve)) == "MEDIA_NOT_FOUND"
    listed = await stub.ListMedia(library_pb2.ListMediaRequest(), metadata=eve)
    assert not listed.media
    assert await stub.GetMedia(get, metadata=ann) == media
    await stub.DeleteMedia(delete, metadata=ann)
    assert await refusal(stub.GetMedia(get, metadata=ann)) == "MEDIA_NOT_FOUND"
    assert not service.on_disk()


async def test_the_list_has_pages_over_grpc(stub: Any, service: Service) -> None:
    ann = service.caller()
    added = [(await stub.UploadMedia(messages(b"x"), metadata=ann)).name for _ in range(3)]
    request = library_pb2.ListMediaRequest(page_size=2)
    first = await stub.ListMedia(request, metadata=ann)
    request.page_token = first.next_page_token
    rest = await stub.ListMedia(request, metadata=ann)
    assert [media.name for media in (*first.media, *rest.media)] == added[::-1]
    assert not rest.next_page_token
    request.page_token = "bm9uc2Vuc2U"
    assert await refusal(stub.ListMedia(request, metadata=ann)) == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("", b"x", "FILE_NAME_MISSING"), ("a", b"", "FILE_EMPTY"), ("a", bytes(LIMIT + 1), "FILE_TOO_LARGE"), ("a", b"\x7fELF\x02", "FILE_TYPE_REFUSED")],
)  # fmt: skip
async def test_a_refused_upload_is_told_why(
    stub: Any, service: Service, name: str, content: bytes, why: str
) -> None:
    assert (
        await refusal(stub.UploadMedia(messages(content, name), metadata=service.caller())) == why
    )
    assert not service.on_disk()


@pytest.mark.parametrize("how", ["call", "connection"])
async def test_what_a_client_breaks_off_is_never_seen(
    stub: Any, service: Service, how: str
) -> None:
    ann = service.caller()
    for pieces_sent in range(1, UPLOADS_AT_ONCE):
        async with service.client() as channel:
            call = library_pb2_grpc.LibraryServiceStub(channel).UploadMedia(metadata=ann)
            await call.write(library_pb2.UploadMediaRequest(name="a"))
            for _ in range(pieces_sent):
                body = HttpBody(data=bytes(40_000))
                await call.write(library_pb2.UploadMediaRequest(body=body))
            if how == "call":
                call.cancel()
    await service.idle()
    assert not service.on_disk()
    whole = await stub.UploadMedia(messages(b"whole"), metadata=ann)
    listed = await stub.ListMedia(library_pb2.ListMediaRequest(), metadata=ann)
    assert [media.name for media in listed.media] == [whole.name]
