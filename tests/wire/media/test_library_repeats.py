"""An upload whose reply is lost is sent again by its `request_id`: there is one file, which counts once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from parley.media.v1 import library_pb2, library_pb2_grpc

from tests.lost_replies import LOST, LostReplies, repeatable
from tests.wire.media.test_library import LIMIT, QUOTA, Service, pieces, refusal, service

__all__ = ["service"]

CONTENT = os.urandom(LIMIT - 1)
METHODS = repeatable("parley.media.v1")
UPLOAD = METHODS["LibraryService.UploadMedia"]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> LostReplies:
    return LostReplies(monkeypatch, {UPLOAD.full_name: UPLOAD})


@pytest.fixture
async def stub(losing: LostReplies, service: Service) -> AsyncIterator[Any]:
    async with service.client() as channel:
        yield library_pb2_grpc.LibraryServiceStub(channel)


async def upload(
    request_id: str, content: bytes = CONTENT, name: str = "a.bin"
) -> AsyncIterator[library_pb2.UploadMediaRequest]:
    yield library_pb2.UploadMediaRequest(name=name, request_id=request_id)
    async for piece in pieces(content):
        yield library_pb2.UploadMediaRequest(body=HttpBody(data=piece))


async def test_an_upload_whose_reply_is_lost_gives_the_first_file(
    stub: Any, service: Service, losing: LostReplies
) -> None:
    assert 2 * len(CONTENT) > QUOTA, "twice would be too much"
    ann, request_id = service.caller(), str(uuid4())
    losing.lose(UPLOAD.full_name)
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await stub.UploadMedia(upload(request_id), metadata=ann)
    assert lost.value.code() is LOST
    (on_disk,) = service.on_disk()
    for _ in range(2):
        media = await stub.UploadMedia(upload(request_id), metadata=ann)
        assert media.name == f"media/{on_disk}"
        assert service.on_disk() == {on_disk}
    (listed,) = (await stub.ListMedia(library_pb2.ListMediaRequest(), metadata=ann)).media
    assert listed == media


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), "a.bin"),
        (CONTENT[:-1], "a.bin"),
        (CONTENT + b"x", "a.bin"),
        (b"", "a.bin"),
        (CONTENT, "b.bin"),
    ],
)
async def test_another_file_is_not_taken_for_the_first(
    stub: Any, service: Service, content: bytes, name: str
) -> None:
    ann, request_id = service.caller(), str(uuid4())
    await stub.UploadMedia(upload(request_id), metadata=ann)
    again = stub.UploadMedia(upload(request_id, content, name), metadata=ann)
    assert await refusal(again) == "REQUEST_ID_REUSED"
    assert len(service.on_disk()) == 1
    bob = service.caller()
    await stub.UploadMedia(upload(request_id, b"his own"), metadata=bob)


async def test_a_repeat_beside_the_first_is_refused_and_one_after_it_is_answered(
    stub: Any, service: Service
) -> None:
    ann, request_id = service.caller(), str(uuid4())
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[library_pb2.UploadMediaRequest]:
        async for message in upload(request_id):
            yield message
            if message.body.data:
                begun.set()
                await go_on.wait()

    first = asyncio.ensure_future(stub.UploadMedia(slow(), metadata=ann))
    await begun.wait()
    async with asyncio.timeout(20):
        while not service.on_disk():  # noqa: ASYNC110  # a folder tells nobody
            await asyncio.sleep(0.01)
    repeat = iter([library_pb2.UploadMediaRequest(name="a.bin", request_id=request_id)])
    assert await refusal(stub.UploadMedia(repeat, metadata=ann)) == "UPLOAD_UNDER_WAY"
    go_on.set()
    media = await first
    assert await stub.UploadMedia(upload(request_id), metadata=ann) == media


async def test_what_was_refused_or_deleted_may_come_again(stub: Any, service: Service) -> None:
    ann, request_id = service.caller(), str(uuid4())
    assert await refusal(stub.UploadMedia(upload(request_id, b""), metadata=ann)) == "FILE_EMPTY"
    first = await stub.UploadMedia(upload(request_id), metadata=ann)
    delete = library_pb2.DeleteMediaRequest(name=first.name)
    await stub.DeleteMedia(delete, metadata=ann)
    assert await refusal(stub.DeleteMedia(delete, metadata=ann)) == "MEDIA_NOT_FOUND"
    second = await stub.UploadMedia(upload(request_id), metadata=ann)
    assert second.name != first.name
    assert len(service.on_disk()) == 1
