"""The WebSocket edge: conversations as JSON text messages (proto3 JSON, snake_case) at `/ws/signaling`.

Close codes: 1000 the conversation is over, 1001 this server is being stopped, 4000 + the canonical code of the error
that ended it (4016 for a bad ticket), with its reason as the text. RFC 6455 §7.4.2 leaves 4000 to 4999 to us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from google.protobuf import json_format
from parley.signaling.v1.signaling_pb2 import ClientMessage
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from chassis import logs, telemetry
from chassis.calls import translated
from chassis.errors import Internal
from services.signaling.conversation import Frames
from services.signaling.domain import Draining, MessageMalformed, Silent
from services.signaling.hall import Hall

PATH = "/ws/signaling"
FRAME_LIMIT = 512 * 1024
FIRST_SECONDS = 10.0
"""How long a connection may stay silent before it joins."""
PING_SECONDS = 3.0
PONG_SECONDS = 6.0
CLOSE_SECONDS = 1.0
"""How often a browser is asked whether it is there, how long it may take to say so, and to close."""
OVER = 1000
CLOSE_BASE = 4000
GOING_AWAY = 1001

log = logs.get("signaling.websocket")

_malformed = telemetry.counter("signaling_malformed", "Messages that could not be read.")


@asynccontextmanager
async def listening(
    hall: Hall, address: str, origins: Collection[str], connection_limit: int
) -> AsyncIterator[int]:
    """Serve WebSockets at `host:port`; gives the port. Pages of other origins than these and our own are refused.

    `connection_limit` counts those that have not joined yet, too.
    """
    host, _, port = address.rpartition(":")
    known = frozenset(map(_origin, origins))

    def refuse_strangers(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] != PATH:
            return connection.respond(404, "There is nothing at this address.\n")
        page = request.headers.get("Origin")
        if page is not None and page not in known | {_own_origin(request)}:
            return connection.respond(403, "Pages of this origin may not connect.\n")
        return None

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        if len(server.connections) > connection_limit:
            return connection.respond(503, "This server holds as many connections as it takes.\n")
        return refuse_strangers(connection, request)

    async with serve(
        lambda connection: _carry(hall, connection),
        host,
        int(port),
        process_request=refuse,
        max_size=FRAME_LIMIT,
        max_queue=16,
        write_limit=256 * 1024,
        ping_interval=PING_SECONDS,
        ping_timeout=PONG_SECONDS,
        close_timeout=CLOSE_SECONDS,
        server_header=None,
        compression=None,
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _carry(hall: Hall, connection: ServerConnection) -> None:
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            first = _parsed(await connection.recv())
        async with hall.conversation(first, _frames(connection), "websocket") as conversation:
            try:
                async for told in conversation.told():
                    await connection.send(told.json, text=True)
            finally:
                conversation.has_vanished |= _has_timed_out(connection)
        await connection.close(OVER, "OVER")
    except ConnectionClosed:
        return
    except Exception as error:  # noqa: BLE001  # whatever it is, it leaves as a close code
        await _close(connection, error)
    finally:
        connection.transport.abort()  # where a reader was stuck, nothing else ends it


async def _frames(connection: ServerConnection) -> Frames:
    """Give what the client says. Raises Silent when the connection is closed: nothing else may be told by it for long."""
    with suppress(ConnectionClosed):
        async for frame in connection:
            try:
                yield _parsed(frame)
            except MessageMalformed as error:
                yield error
    raise Silent


def _has_timed_out(connection: ServerConnection) -> bool:
    """Tell whether it was closed since its pings were not answered."""
    sent = connection.protocol.close_sent
    return sent is not None and sent.code == CloseCode.INTERNAL_ERROR


def _parsed(frame: str | bytes) -> ClientMessage:
    """Read a frame; its fields are checked later. Raises MessageMalformed."""
    try:
        if isinstance(frame, bytes):
            raise ValueError("messages are text")
        message = ClientMessage()
        json_format.Parse(frame, message, max_recursion_depth=20)
    except (json_format.ParseError, RecursionError, ValueError) as error:
        _malformed.inc()
        raise MessageMalformed(text=f"This is not a ClientMessage: {str(error)[:200]}") from None
    return message


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
