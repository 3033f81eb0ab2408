"""Posting to addresses that strangers chose: real sockets, and names that lead where they should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.meeting.events.posting import Poster, PostFailed, Resolve
from services.meeting.events.webhook import Policy
from tests.webhook_stand import Receiver, a_receiver

BODY = b'{"meeting": {"name": "meetings/abc-defg-hij"}}'
ANYWHERE = Policy(private=True, http=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as it:
        yield it


def leading_to(*addresses: str) -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def post(
    uri: str, policy: Policy = ANYWHERE, resolve: Resolve | None = None, seconds: float = 10
) -> int:
    poster = Poster(policy, resolve, seconds) if resolve else Poster(policy, seconds=seconds)
    try:
        return await poster.post(uri, BODY, {"Parley-Signature": "t=1,v1=0"})
    finally:
        await poster.close()


async def test_it_is_posted_to_the_address_that_was_checked_in_the_names_name(
    receiver: Receiver,
) -> None:
    uri = f"http://hooks.example.org:{receiver.port}/a?b=c"
    assert await post(uri, resolve=leading_to("127.0.0.1", "192.0.2.1")) == 200
    (posted,) = receiver.posted
    assert (posted.path, posted.body) == ("/a?b=c", BODY)
    assert posted.headers["host"] == f"hooks.example.org:{receiver.port}"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_within_is_posted_nothing(receiver: Receiver, address: str) -> None:
    uri = f"http://hooks.example.org:{receiver.port}/"
    with pytest.raises(PostFailed, match="not allowed"):
        await post(uri, Policy(http=True), leading_to(address))
    assert not receiver.posted


async def test_what_the_operator_does_not_allow_any_more_is_posted_nothing(
    receiver: Receiver,
) -> None:
    with pytest.raises(PostFailed, match="not allowed"):
        await post(receiver.uri, Policy(http=True))
    with pytest.raises(PostFailed, match="not allowed"):
        await post(receiver.uri, Policy(private=True))
    assert not receiver.posted


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers, receiver.location = [307], receiver.uri
    assert await post(receiver.uri) == 307
    assert len(receiver.posted) == 1


async def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await post(receiver.uri) == 200


async def test_an_answer_without_end_costs_nothing_but_its_head() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await post(f"http://127.0.0.1:{port}/") == 200


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000]
)
async def test_who_does_not_speak_http_has_not_answered(said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PostFailed):
            await post(f"http://127.0.0.1:{port}/")


async def test_who_never_answers_is_hung_up_on() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PostFailed, match="in time"):
            await post(f"http://127.0.0.1:{port}/", seconds=0.2)


async def test_a_name_that_leads_nowhere_is_no_answer() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError

    for resolving in (resolve, leading_to()):
        with pytest.raises(PostFailed):
            await post("https://hooks.example.org/", resolve=resolving)
