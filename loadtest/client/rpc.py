"""The same methods without REST: native gRPC and gRPC-Web, each with one call of a generated stub's messages."""

from __future__ import annotations

import struct

import grpc
from google.protobuf.message import DecodeError
from parley.user.v1 import user_pb2, user_pb2_grpc

from loadtest.client.answers import answered, check
from loadtest.client.cases import Failed, NotBuilt, case
from loadtest.client.gateway import PATIENCE_SECONDS
from loadtest.client.visit import Visit

METHOD = "/parley.user.v1.AuthService/GetJsonWebKeySet"
EMPTY_FRAME = bytes(5)
TRAILERS = 0x80


@case("grpc", "gRPC: AuthService.GetJsonWebKeySet")
async def native(visit: Visit) -> str:
    """HTTP/2, with a stub."""
    request = user_pb2.GetJsonWebKeySetRequest()
    try:
        async with await visit.gateway.channel() as channel:
            stub = user_pb2_grpc.AuthServiceStub(channel)
            keys = await stub.GetJsonWebKeySet(request, timeout=PATIENCE_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise _verdict(error.code().name, error.details() or "") from None
    return _told(keys)


@case("grpc", "gRPC-Web: AuthService.GetJsonWebKeySet")
async def web(visit: Visit) -> str:
    """HTTP/1.1, as browsers do it: frames in the body, the last one has the trailers."""
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    answer = answered(await visit.call("POST", METHOD, content=EMPTY_FRAME, headers=headers))
    kind = answer.headers.get("content-type", "")
    check(kind.startswith("application/grpc-web"), f"content-type is {kind!r}")
    message, trailers = _frames(answer.content)
    trailers = {**answer.headers, **trailers}  # an answer without messages has only headers
    status = trailers.get("grpc-status", "")
    if status != "0":
        raise _verdict(_name(status), trailers.get("grpc-message", ""))
    try:
        return _told(user_pb2.JsonWebKeySet.FromString(message))
    except DecodeError:
        raise Failed("the message is not a JsonWebKeySet") from None


def _frames(content: bytes) -> tuple[bytes, dict[str, str]]:
    """Take the message and the trailers out of a body of frames: a byte of flags, 4 of length, the rest."""
    message, trailers = b"", {}
    while len(content) >= len(EMPTY_FRAME):
        flags, length = struct.unpack_from(">BI", content)
        frame, content = content[5 : 5 + length], content[5 + length :]
        if flags & TRAILERS:
            pairs = (line.partition(":") for line in frame.decode(errors="replace").splitlines())
            trailers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        else:
            message = frame
    return message, trailers


def _told(keys: user_pb2.JsonWebKeySet) -> str:
    check(len(keys.keys) > 0, "there is no key")
    return f"key {', '.join(key.kid for key in keys.keys)}"


def _name(status: str) -> str:
    """Give a status code's name, by its number."""
    return next((code.name for code in grpc.StatusCode if str(code.value[0]) == status), status)


def _verdict(code: str, text: str) -> Failed | NotBuilt:
    kind = NotBuilt if code == grpc.StatusCode.UNIMPLEMENTED.name else Failed
    return kind(f"{code or 'no grpc-status'}: {text}")
