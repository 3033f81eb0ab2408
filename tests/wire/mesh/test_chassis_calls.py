"""What every server of ours does around a call, seen from a client over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.user.v1 import user_pb2, user_pb2_grpc

from chassis import channels
from chassis.config import ServiceConfig
from chassis.errors import NotFound, Unavailable
from chassis.server import Server, serving
from tests.identities import identity_in, make_identities


class Auth(user_pb2_grpc.AuthServiceServicer):
    """Answers by the username: what each does is in its name."""

    async def Login(self, request: user_pb2.LoginRequest, context: Any) -> user_pb2.LoginResponse:
        match request.username_or_email:
            case "missing":
                raise NotFound(user="users/7")
            case "later":
                raise Unavailable(retry_after=2.5)
            case "broken":
                raise RuntimeError("a secret that must not leave")
            case "slow":
                await asyncio.sleep(60)
        return user_pb2.LoginResponse(expires_in=1)


class Ai(ai_pb2_grpc.AiServiceServicer):
    """Echoes how much sound it got."""

    async def Analyze(
        self, request_iterator: AsyncIterator[ai_pb2.AnalyzeRequest], context: Any
    ) -> AsyncIterator[ai_pb2.AnalyzeResponse]:
        async for request in request_iterator:
            yield ai_pb2.AnalyzeResponse(
                started=ai_pb2.AnalysisStarted(models=[str(len(request.audio.pcm))])
            )


@dataclass
class Running:
    server: Server
    stranger: grpc.aio.Channel
    service: grpc.aio.Channel
    other: grpc.aio.Channel


@asynccontextmanager
async def running(tmp_path: Path, *, well: list[bool]) -> AsyncIterator[Running]:
    identities = make_identities(tmp_path)
    identity = identity_in(identities, "user")

    async def check() -> None:
        if not well[0]:
            raise Unavailable

    config = ServiceConfig(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        mesh="127.0.0.1:1",
        service_key=tmp_path,
        trust=tmp_path,
        drain_seconds=0,
    )
    servicers = {
        user_pb2_grpc.add_AuthServiceServicer_to_server: Auth(),
        ai_pb2_grpc.add_AiServiceServicer_to_server: Ai(),
    }
    async with serving(config, "user", identity, None, servicers, [check]) as server:
        address = f"127.0.0.1:{server.port}"
        async with (
            grpc.aio.insecure_channel(address) as stranger,
            channels.direct(address, identity_in(identities, "media")) as service,
            channels.direct(address, identity) as other,
        ):
            yield Running(server, stranger, service, other)


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, well=[True]) as it:
        yield it


def login(call: Running, name: str, **options: Any) -> Any:
    stub = user_pb2_grpc.AuthServiceStub(call.stranger)
    return stub.Login(user_pb2.LoginRequest(username_or_email=name, password="p"), **options)


async def refusal(awaitable: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value


async def test_a_domain_error_arrives_with_its_reason(call: Running) -> None:
    error = await refusal(login(call, "missing"))
    assert (error.code(), channels.reason(error)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_retry_info_says_when(call: Running) -> None:
    status = channels.status(await refusal(login(call, "later")))
    assert status is not None
    retry = RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 2500


async def test_an_unforeseen_exception_leaves_no_text(call: Running) -> None:
    error = await refusal(login(call, "broken"))
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.details()) + repr(error.trailing_metadata())


async def test_a_field_that_breaks_its_rule_is_named(call: Running) -> None:
    error = await refusal(login(call, "x" * 300))
    status = channels.status(error)
    assert status is not None
    bad = BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert [violation.field for violation in bad.field_violations] == ["username_or_email"]
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_bytes_that_are_no_message_are_refused_and_counted(call: Running) -> None:
    method = "/parley.user.v1.AuthService/Login"
    send: Any = call.stranger.unary_unary(method)
    error = await refusal(send(b"\xff\xff\xff"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert channels.reason(error) == "REQUEST_MALFORMED"


async def test_a_method_that_is_not_built_says_so(call: Running) -> None:
    stub = user_pb2_grpc.AuthServiceStub(call.stranger)
    error = await refusal(stub.Refresh(user_pb2.RefreshRequest(refresh_token="x")))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert channels.reason(error) == "NOT_IMPLEMENTED"


async def test_the_callers_deadline_ends_the_work(call: Running) -> None:
    error = await refusal(login(call, "slow", timeout=0.2))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_internal_method_refuses_strangers(call: Running) -> None:
    stream = ai_pb2_grpc.AiServiceStub(call.stranger).Analyze()
    error = await refusal(stream.read())
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_an_internal_method_refuses_services_that_it_is_not_for(call: Running) -> None:
    stream = ai_pb2_grpc.AiServiceStub(call.other).Analyze()
    error = await refusal(stream.read())
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_an_internal_method_serves_its_callers_and_checks_each_message(call: Running) -> None:
    stream = ai_pb2_grpc.AiServiceStub(call.service).Analyze()
    await stream.write(ai_pb2.AnalyzeRequest(audio=ai_pb2.AudioChunk(pcm=b"1234")))
    answer: Any = await stream.read()
    assert answer.started.models == ["4"]
    await stream.write(ai_pb2.AnalyzeRequest(audio=ai_pb2.AudioChunk(pcm=b"1")))
    error = await refusal(stream.read())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_metrics_count_calls_by_code(call: Running) -> None:
    await refusal(login(call, "missing"))
    async with httpx.AsyncClient() as client:
        page = await client.get(f"http://127.0.0.1:{call.server.metrics_port}/metrics")
    method = "/parley.user.v1.AuthService/Login"
    assert f'parley_grpc_calls_total{{code="NOT_FOUND",method="{method}"}}' in page.text


async def test_health_follows_the_checks(tmp_path: Path) -> None:
    well = [False]
    async with running(tmp_path, well=well) as call:
        stub: Any = health_pb2_grpc.HealthStub(call.stranger)
        request = health_pb2.HealthCheckRequest(service="parley.user.v1.AuthService")
        watch = stub.Watch(request)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        well[0] = True
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
