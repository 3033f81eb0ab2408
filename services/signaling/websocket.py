"""The WebSocket edge: conversations as JSON text messages (proto3 JSON, snake_case) at `/ws/signaling`.

Close codes: 1000 the conversation is over, 1001 this server is being stopped, 4000 + the canonical code of the error
that ended it (4016 for a bad ticket), with its reason as the text. RFC 6455 §7.4.2 leaves 4000 to 4999 to us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from google.protobuf import json_format
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from chassis import logs, telemetry
from chassis.calls import check, translated
from chassis.errors import DomainError, Internal
from services.signaling.conversation import Conversation, Hall
from services.signaling.domain import Draining, MessageMalformed

PATH = "/ws/signaling"
FRAME_LIMIT = 512 * 1024
FIRST_SECONDS = 10.0
"""How long a connection may stay silent before it joins."""
MALFORMED_LIMIT = 10
CLOSE_BASE = 4000
GOING_AWAY = 1001

log = logs.get("signaling.websocket")

_malformed = telemetry.counter("signaling_malformed", "Messages that could not be read.")


@asynccontextmanager
async def listening(hall: Hall, address: str, public_url: str) -> AsyncIterator[int]:
    """Serve WebSockets at `host:port`; gives the port. Pages of other origins than `public_url` are refused."""
    host, _, port = address.rpartition(":")
    origin = _origin(public_url)

    def refuse_strangers(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] != PATH:
            return connection.respond(404, "There is nothing at this address.\n")
        page = request.headers.get("Origin")
        if page is not None and page not in (origin, _own_origin(request)):
            return connection.respond(403, "Pages of this origin may not connect.\n")
        return None

    async with serve(
        lambda connection: _carry(hall, connection),
        host,
        int(port),
        process_request=refuse_strangers,
        max_size=FRAME_LIMIT,
        max_queue=16,
        write_limit=256 * 1024,
        ping_interval=20,
        ping_timeout=20,
        close_timeout=2,
        server_header=None,
        compression=None,
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _carry(hall: Hall, connection: ServerConnection) -> None:
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            first = _parsed(await connection.recv())
        conversation = await hall.begin(first, "websocket")
    except ConnectionClosed:
        return
    except Exception as error:  # noqa: BLE001  # whatever it is, it leaves as a close code
        await _close(connection, error)
        return
    listening_task = asyncio.create_task(_listen(conversation, connection))
    try:
        async for message in conversation.messages():
            await connection.send(_text(message))
        await connection.close(1000, "over")
    except ConnectionClosed:
        return
    except DomainError as error:
        await _close(connection, error)
    finally:
        listening_task.cancel()
        await conversation.close()


async def _listen(conversation: Conversation, connection: ServerConnection) -> None:
    malformed = 0
    try:
        async for frame in connection:
            try:
                message = _parsed(frame)
            except DomainError as error:
                malformed += 1
                if malformed > MALFORMED_LIMIT:
                    conversation.cut(error)
                    return
                await conversation.refuse("", error)
            else:
                await conversation.hear(message)
        await connection.close()
    except DomainError as error:
        conversation.cut(error)
    except ConnectionClosed:
        pass
    except Exception as error:  # the connection ends, the process does not
        log.error("listening failed", exc_info=error)
        conversation.cut(Internal())


def _parsed(frame: str | bytes) -> ClientMessage:
    """Read a frame. Raises MessageMalformed, InvalidArgument."""
    message = ClientMessage()
    try:
        if isinstance(frame, bytes):
            raise MessageMalformed(text="Messages are text.")
        json_format.Parse(frame, message, max_recursion_depth=20)
    except (json_format.ParseError, RecursionError, ValueError) as error:
        _malformed.inc()
        raise MessageMalformed(text=f"This is not a ClientMessage: {str(error)[:200]}") from None
    except MessageMalformed:
        _malformed.inc()
        raise
    check(message)
    return message


def _text(message: ServerMessage) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


async def _close(connection: ServerConnection, exception: Exception) -> None:
    error = translated(exception)
    if isinstance(error, Internal):
        log.error("conversation failed", exc_info=exception)
    number: int = error.code.value[0]
    code = GOING_AWAY if isinstance(error, Draining) else CLOSE_BASE + number
    await connection.close(code, error.reason)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _own_origin(request: Request) -> str:
    """The origin of a page that this very host served."""
    scheme = request.headers.get("X-Forwarded-Proto", "http")
    return f"{scheme}://{request.headers.get('Host', '')}"
