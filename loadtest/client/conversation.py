"""A conversation with signaling over its WebSocket: JSON messages that are said and heard (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from loadtest.client.answers import json_object, read, reason_of
from loadtest.client.cases import Failed, NotBuilt
from loadtest.client.gateway import PATIENCE_SECONDS, Gateway

PATH = "/ws/signaling"
NOT_IMPLEMENTED = 501


class Conversation:
    """One WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, gateway: Gateway) -> Conversation:
        """Open the WebSocket. Raises Failed when the gateway does not, NotBuilt for 501."""
        try:
            url = gateway.websocket_url(PATH)
            return cls(await connect(url, open_timeout=PATIENCE_SECONDS, ssl=gateway.tls()))
        except InvalidStatus as refused:
            status = refused.response.status_code
            kind = NotBuilt if status == NOT_IMPLEMENTED else Failed
            raise kind(f"HTTP {status} for {PATH}, not 101") from None

    async def ask(self, kind: str, wanted: str, **fields: Any) -> dict[str, Any]:
        """Say a message and give the one that answers it, passing over events. Raises Failed, NotBuilt."""
        mark = secrets.token_hex(4)
        await self._connection.send(json.dumps({"id": mark, kind: fields}))
        return await self.hear(wanted, mark)

    async def hear(self, wanted: str, mark: str = "") -> dict[str, Any]:
        """Wait for a kind of message, or the answer to `mark`. Raises Failed, NotBuilt."""
        while True:
            message = await self._next()
            if mark and message.get("reply_to") == mark and wanted not in message:
                raise _refusal(message, wanted)
            if wanted in message and message.get("reply_to", "") in ("", mark):
                return message

    async def closed(self) -> tuple[int, str]:
        """Wait for the end; returns the close code and its text. Raises Failed when it does not come."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await self._connection.recv()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")
        except TimeoutError:
            raise Failed("the server did not close the connection") from None

    async def say(self, kind: str, **fields: Any) -> None:
        """Say a message that nothing answers."""
        await self._connection.send(json.dumps({kind: fields}))

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def _next(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return json_object(await self._connection.recv())
        except ConnectionClosed as end:
            raise Failed(f"the server closed the connection: {end}") from None
        except TimeoutError:
            raise Failed("no message came") from None


def _refusal(message: dict[str, Any], wanted: str) -> Failed | NotBuilt:
    """Say why a message was answered by something else."""
    if "refused" not in message:
        kinds = ", ".join(sorted(set(message) - {"reply_to", "sequence", "time"}))
        return Failed(f"{kinds} came, not {wanted}")
    status = read(message, "refused.status", dict)
    reason = reason_of(status)
    kind = NotBuilt if reason == "NOT_IMPLEMENTED" else Failed
    return kind(f"refused: {reason or status.get('message', '')}")


__all__ = ["Conversation"]
