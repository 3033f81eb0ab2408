"""What happens around each call of a stub: token, deadline, request id, retries, and errors as ParleyError.

As interceptors of the channel, so that the generated stubs stay what they are. Methods say in their contract who may
call them (parley.options.v1.access): those for the public get no token, and sign-in itself goes the same way.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from parley.client._errors import ParleyError, from_call
from parley.client._retries import Retries, may_repeat
from parley.client._session import Session
from parley.options.v1 import options_pb2

REQUEST_ID = "request_id"
TOKEN_REASONS = frozenset(
    {"", "UNAUTHENTICATED", "TOKEN_EXPIRED", "TOKEN_INVALID", "SESSION_ENDED"}
)
"""With these it is the token that is refused, rather than a password or a code in the request."""

_T = TypeVar("_T")
Details = Any
"""grpc.aio.ClientCallDetails, a named tuple."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its bare name, and whether it wants a token."""

    name: str
    needs_token: bool


@cache
def method_at(path: str) -> Method:
    """Look a method up by `/package.Service/Method`; of one that is not Parley's nothing is known, and it gets no token."""
    full_name = path.strip("/").replace("/", ".")
    name = full_name.rpartition(".")[2]
    try:
        options = descriptor_pool.Default().FindMethodByName(full_name).GetOptions()
    except KeyError:
        return Method(name, needs_token=False)
    access = options.Extensions[options_pb2.access]
    return Method(name, access in {options_pb2.ACCESS_USER, options_pb2.ACCESS_ADMIN})


class Calls:
    """The one policy that all interceptors share. `timeout` in seconds is for calls with one request and one answer."""

    def __init__(self, session: Session, retries: Retries, timeout: float) -> None:
        self._session = session
        self._retries = retries
        self._timeout = timeout

    async def unary(self, details: Details, request: Message, make: Callable[..., Any]) -> Any:
        """Make a call until it is answered; the deadline is for all attempts together. Raises ParleyError."""
        request = with_request_id(request)
        timeout = self._timeout if details.timeout is None else details.timeout

        async def once(dressed: Details) -> Any:
            call = await make(dressed, request)
            await call
            return call

        return await self._until_done(details, request, timeout, once)

    async def stream(
        self, details: Details, request: Message, make: Callable[..., Any]
    ) -> AsyncIterator[Any]:
        """Make a call until its first answer has come; after that, nothing is made again. Raises ParleyError."""
        request = with_request_id(request)

        async def once(dressed: Details) -> AsyncIterator[Any]:
            call = await make(dressed, request)
            answers = aiter(call)
            try:
                first = [await anext(answers)]
            except StopAsyncIteration:
                first = []
            return _all(first, answers, call)

        return await self._until_done(details, request, details.timeout, once)

    async def dressed(self, details: Details) -> Details:
        """Give a call that can't be repeated its token. Raises ParleyError."""
        method = method_at(_path(details))
        token = await self._session.token() if method.needs_token else ""
        return _dressed(details, token, details.timeout)

    async def _until_done(
        self,
        details: Details,
        request: Message,
        timeout: float | None,
        once: Callable[[Details], Awaitable[_T]],
    ) -> _T:
        method = method_at(_path(details))
        due = None if timeout is None else time.monotonic() + timeout
        failures, renewed = 0, False
        while True:
            token = await self._token(method, due)
            left = None if due is None else max(due - time.monotonic(), 0.001)
            try:
                return await once(_dressed(details, token, left))
            except grpc.aio.AioRpcError as refused:
                error = from_call(refused)
            if token and not renewed and _blames_token(error) and await self._session.renew(token):
                renewed = True
                continue
            failures += 1
            await self._wait(method, request, failures, error, due)

    async def _token(self, method: Method, due: float | None) -> str:
        if not method.needs_token:
            return ""
        try:
            async with asyncio.timeout(None if due is None else due - time.monotonic()):
                return await self._session.token()
        except TimeoutError:
            text = "The access token was not renewed in time."
            raise ParleyError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from None

    async def _wait(
        self, method: Method, request: Message, failures: int, error: ParleyError, due: float | None
    ) -> None:
        """Wait until the call may be made again. Raises the error where it may not, or there is no time for it."""
        if not may_repeat(method.name, has_request_id(request), error):
            raise error
        delay = self._retries.delay_after(failures, error)
        if delay is None or (due is not None and time.monotonic() + delay >= due):
            raise error
        await asyncio.sleep(delay)


def has_request_id(request: Message) -> bool:
    """Tell whether a request can carry an id by which the server knows it again."""
    return REQUEST_ID in request.DESCRIPTOR.fields_by_name


def with_request_id(request: Message) -> Message:
    """Give a request an id, if it may have one and has none. The caller's own message is left alone."""
    if not has_request_id(request) or getattr(request, REQUEST_ID):
        return request
    filled = type(request)()
    filled.CopyFrom(request)
    setattr(filled, REQUEST_ID, str(uuid.uuid4()))
    return filled


def interceptors(calls: Calls) -> Sequence[grpc.aio.ClientInterceptor]:
    """Make the interceptors of a channel, one for each shape of call."""
    return (_UnaryUnary(calls), _UnaryStream(calls), _StreamUnary(calls), _StreamStream(calls))


class _Interceptor:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls


class _UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Details, request: Any
    ) -> Any:
        return await self._calls.unary(client_call_details, request, continuation)


class _UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Details, request: Any
    ) -> Any:
        return await self._calls.stream(client_call_details, request, continuation)


class _StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Details, request_iterator: Any
    ) -> Any:
        dressed = await self._calls.dressed(client_call_details)
        return _Answer(await continuation(dressed, request_iterator))


class _StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Details, request_iterator: Any
    ) -> Any:
        dressed = await self._calls.dressed(client_call_details)
        call = await continuation(dressed, request_iterator)
        return _all([], aiter(call), call)


class _Answer:
    """A call with one answer that has not come yet, and fails with ParleyError."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from self._call.__await__())
        except grpc.aio.AioRpcError as refused:
            raise from_call(refused) from None


async def _all(first: list[Any], answers: AsyncIterator[Any], call: Any) -> AsyncIterator[Any]:
    """Give a call's answers; it is cancelled when nobody wants them any more."""
    try:
        for answer in first:
            yield answer
        async for answer in answers:
            yield answer
    except grpc.aio.AioRpcError as refused:
        raise from_call(refused) from None
    finally:
        call.cancel()


def _blames_token(error: ParleyError) -> bool:
    return error.code == grpc.StatusCode.UNAUTHENTICATED and error.reason in TOKEN_REASONS


def _path(details: Details) -> str:
    method = details.method
    return method.decode() if isinstance(method, bytes) else str(method)


def _dressed(details: Details, token: str, timeout: float | None) -> Details:
    """Give a call its token, unless it has one of its own, and its deadline."""
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if token and not any(key == "authorization" for key, _ in metadata):
        metadata.add("authorization", f"Bearer {token}")
    return details._replace(metadata=metadata, timeout=timeout)


__all__ = ["Calls", "has_request_id", "interceptors", "method_at", "with_request_id"]
