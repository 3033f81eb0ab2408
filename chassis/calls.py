"""The one interceptor on every server: what happens around each call, before and after the servicer.

In order: the request id is taken up, the caller is established and checked against the method's access option, each
message is validated by its protovalidate rules, the servicer runs within the deadline, and whatever it raises leaves
as one google.rpc.Status. An exception that nobody foresaw leaves as INTERNAL with no text, and is logged once.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc
import psycopg
import redis.exceptions
import sqlalchemy.exc
from google.protobuf.message import DecodeError, Message
from parley.options.v1.options_pb2 import Access
from protovalidate import Validator

from chassis import auth, headers, logs, scopes, telemetry
from chassis.errors import (
    DeadlineExceeded,
    DomainError,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    trailers,
)

UNARY_LIMIT_SECONDS = 30.0
"""The longest that a call with one request and one answer may take, whatever deadline it came with."""

REQUEST_ID_METADATA = "x-request-id"
REQUEST_ID_LIMIT = 128
TRACEPARENT_METADATA = "traceparent"
TRACEPARENT = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

TRANSCODED_METADATA = "x-envoy-original-path"
"""Envoy's word that a call came over REST; from outside it can't be said."""

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When the call that is being served must be answered, on the monotonic clock; None for streams without one."""

log = logs.get("chassis.calls")

_calls = telemetry.counter("grpc_calls", "Calls served, by method and code.", ("method", "code"))
_seconds = telemetry.histogram("grpc_call_seconds", "How long unary calls took.", ("method",))
_open = telemetry.gauge("grpc_calls_open", "Calls being served now.", ("method",))

_validator = Validator()


class RequestMalformed(InvalidArgument):
    """The bytes of the request are not the message that the method takes. Use stubs made from these protos."""

    reason = "REQUEST_MALFORMED"
    message = "The request is not a message that this method takes."


Context = grpc.aio.ServicerContext[Any, Any]
Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Method:
    """A method that is served: its full name, `/package.Service/Method`, and who may call it.

    `callers` are the services that may, by name, where `access` is ACCESS_SERVICE.
    """

    path: str
    access: int
    callers: frozenset[str] = frozenset()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of ours, `methods` by path; others (health, reflection) pass untouched."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        identity: auth.ServiceIdentity,
        users: auth.UserTokenVerifier | None,
    ) -> None:
        self._methods = methods
        self._identity = identity
        self._users = users
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Give the handler of a call, wrapped (once per method)."""
        path = handler_call_details.method
        if (wrapped := self._wrapped.get(path)) is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or path not in self._methods:
            return handler
        wrapped = self._wrapped[path] = self._wrap(self._methods[path], handler)
        return wrapped

    def _wrap(self, method: Method, handler: Any) -> Any:
        if handler.response_streaming:
            answers = handler.stream_stream or handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            behavior: Any = self._streaming(method, answers)
        else:
            answer = handler.stream_unary or handler.unary_unary
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            limit = None if handler.request_streaming else UNARY_LIMIT_SECONDS
            behavior = self._unary(method, answer, limit)
        return make(behavior, _lenient(handler.request_deserializer), handler.response_serializer)

    def _unary(self, method: Method, servicer: Any, limit: float | None) -> Any:
        built = inspect.iscoroutinefunction(servicer)
        reads = method.path.rpartition("/")[2].startswith(("Get", "List"))

        async def serve(request: Any, context: Context) -> Any:
            async with self._call(method, context, limit):
                if not built:
                    raise Unimplemented(method=method.path)
                answer = await servicer(_checked(method, request), context)
                if reads:
                    await _tag(context, answer)
                return answer

        return serve

    def _streaming(self, method: Method, servicer: Any) -> Any:
        built = inspect.isasyncgenfunction(servicer)

        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._call(method, context, limit=None):
                if not built:
                    raise Unimplemented(method=method.path)
                async for answer in servicer(_checked(method, request), context):
                    yield answer

        return serve

    @asynccontextmanager
    async def _call(
        self, method: Method, context: Context, limit: float | None
    ) -> AsyncIterator[None]:
        began = time.monotonic()
        metadata = _texts(context)
        identifier = metadata.get(REQUEST_ID_METADATA, "")[:REQUEST_ID_LIMIT] or uuid.uuid4().hex
        logs.request_id.set(identifier)
        trace = metadata.get(TRACEPARENT_METADATA, "")
        logs.traceparent.set(trace if TRACEPARENT.fullmatch(trace) else "")
        remaining = context.time_remaining()
        if limit is not None:
            limit = limit if remaining is None else min(limit, remaining)
        due = limit if limit is not None else remaining
        deadline.set(None if due is None else began + due)
        code = "OK"
        _open.labels(method.path).inc()
        try:
            async with asyncio.timeout(limit):
                auth.set_principal(await self._caller(method, metadata))
                yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            raise
        except Exception as exception:  # noqa: BLE001  # whatever it is, it must leave as a Status
            error = translated(exception)
            code = error.code.name
            _log(method, error, exception)
            await context.abort(error.code, str(error), trailers(error))
        finally:
            _open.labels(method.path).dec()
            _calls.labels(method.path, code).inc()
            if limit is not None:
                _seconds.labels(method.path).observe(time.monotonic() - began)

    async def _caller(self, method: Method, metadata: Metadata) -> auth.Principal | None:
        if method.access in (Access.ACCESS_PUBLIC, Access.ACCESS_TICKET):
            return None
        if method.access == Access.ACCESS_SERVICE:
            if not (token := metadata.get(auth.SERVICE_TOKEN_METADATA, "")):
                raise Unauthenticated(text="This method is for services alone.")
            claims = self._identity.trust.verify(token, auth.MESH_AUDIENCE)
            service = auth.ServicePrincipal(str(claims["iss"]))
            if service.name.removeprefix("services/") not in method.callers:
                raise PermissionDenied(text=f"This method is not for {service.name}.")
            return service
        if method.access in (Access.ACCESS_USER, Access.ACCESS_ADMIN):
            user = await self._user(metadata)
            scopes.check_may_call(user, method.path)
            if method.access == Access.ACCESS_ADMIN and user.role != "admin":
                raise PermissionDenied(text="This is for administrators alone.")
            return user
        raise PermissionDenied(text="Nobody may call this method.")

    async def _user(self, metadata: Metadata) -> auth.UserPrincipal:
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if self._users is None or scheme.lower() != "bearer" or not token:
            raise Unauthenticated()
        return await self._users.verify(token)


async def _tag(context: Context, answer: Message) -> None:
    """Give the answer of a read over REST an ETag (RFC 9110 §8.8.3), and its own headers."""
    if any(key == TRANSCODED_METADATA for key, _ in context.invocation_metadata() or ()):
        digest = hashlib.blake2b(answer.SerializeToString(), digest_size=12).hexdigest()
        await context.send_initial_metadata((("etag", f'"{digest}"'), *headers.said()))


def translated(exception: Exception) -> DomainError:
    """Turn whatever a servicer raised into what the caller may know of it."""
    if isinstance(exception, DomainError):
        return exception
    for kind, error in _TRANSLATIONS:
        if isinstance(exception, kind):
            return error()
    return Internal()


_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[], DomainError]], ...] = (
    (TimeoutError, DeadlineExceeded),
    (redis.exceptions.ConnectionError, Unavailable),
    (redis.exceptions.TimeoutError, Unavailable),
    (psycopg.OperationalError, Unavailable),
    (sqlalchemy.exc.OperationalError, Unavailable),
    (sqlalchemy.exc.TimeoutError, Unavailable),
)


def check(message: Message) -> None:
    """Check a message against its protovalidate rules. Raises InvalidArgument that names each field that is wrong."""
    violations = _validator.collect_violations(message)
    if not violations:
        return
    fields = {_path(violation.proto.field): violation.proto.message for violation in violations}
    summary = "; ".join(f"{path}: {text}" if path else text for path, text in fields.items())
    raise InvalidArgument(text=summary[:500], fields=fields)


def _lenient(deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Message | None]:
    """Read bytes that are no message as None: gRPC itself would answer INTERNAL, and nobody would count it."""

    def read(data: bytes) -> Message | None:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return read


def _checked(method: Method, request: Any) -> Any:
    if request is None:
        raise RequestMalformed
    if isinstance(request, Message):
        check(request)
        if method.access == Access.ACCESS_USER:
            scopes.check_meeting(auth.user_principal(), method.path, request)
        return request
    return _checked_stream(method, request)


async def _checked_stream(
    method: Method, requests: AsyncIterator[Message]
) -> AsyncIterator[Message]:
    async for request in requests:
        yield _checked(method, request)


def _path(field: Any) -> str:
    if field is None:
        return ""
    steps = []
    for element in field.elements:
        subscript = element.subscript
        index = f"[{subscript.value}]" if subscript is not None else ""
        steps.append(f"{element.field_name}{index}")
    return ".".join(steps)


def _texts(context: Context) -> Metadata:
    return {
        key: value for key, value in (context.invocation_metadata() or ()) if isinstance(value, str)
    }


def _log(method: Method, error: DomainError, exception: Exception) -> None:
    if isinstance(error, Internal):
        log.error("call failed", method=method.path, exc_info=exception)
    else:
        log.info("call refused", method=method.path, code=error.code.name, reason=error.reason)


__all__ = [
    "REQUEST_ID_METADATA",
    "TRACEPARENT_METADATA",
    "CallInterceptor",
    "RequestMalformed",
    "check",
    "deadline",
    "translated",
]
