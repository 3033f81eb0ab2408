"""Data channels (RFC 8831) of a participant's publisher connection: SCTP over its DTLS, in aiortc's implementation.

What a participant sends on a channel goes to everybody else's channel of the same label; each channel is as reliable
as whoever opened it has asked. A participant who sends too much is cut short; one who reads too slowly loses messages
of lossy channels, and its reliable channels are closed, since nothing there may be missing in silence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiortc import RTCDataChannel, RTCSctpTransport
from aiortc.exceptions import InvalidStateError
from parley.signaling.v1 import signaling_pb2

from chassis import logs, telemetry
from services.media.sdp import MAX_MESSAGE_BYTES, SCTP_PORT

MAX_CHANNELS = 16
MAX_WAITING = 256
"""SCTP packets that wait to be handled; when there are more they are lost, as by a network."""
MAX_BUFFERED = 1 << 20
"""Bytes that wait in one channel for a slow reader."""
MESSAGES_PER_SECOND = 200
MAX_LABEL = 64

log = logs.get("media.data")

dropped = telemetry.counter(
    "media_datadropped", "Data channel messages not passed on, by why.", ("why",)
)


class _Carrier:
    """As much of a DTLS transport as aiortc's SCTP asks for."""

    _role = "server"
    state = "connected"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def _register_data_receiver(self, _receiver: object) -> None:
        """Data is handed over by `DataChannels.receive`."""

    def _unregister_data_receiver(self, _receiver: object) -> None:
        """As above."""

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class DataChannels:
    """`on_message` gets a channel's label and what came on it."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.on_message: Callable[[str, bytes | str], None] = lambda _label, _data: None
        self._carrier = _Carrier(send)
        self._sctp: RTCSctpTransport | None = None
        self._channels: dict[str, RTCDataChannel] = {}
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._allowance = float(MESSAGES_PER_SECOND)
        self._counted_at = 0.0

    def open(self, remote_port: int) -> None:
        """Take the association that the participant's offer announces; again changes nothing."""
        if self._sctp is None:
            self._sctp = RTCSctpTransport(self._carrier, SCTP_PORT)  # type: ignore[arg-type]  # as much of it as is used
            self._sctp.on("datachannel", self._opened)
            self._task = asyncio.create_task(self._run(self._sctp, remote_port))

    def receive(self, data: bytes) -> None:
        """Take an SCTP packet."""
        if self._sctp is None or self._waiting.full():
            dropped.labels("packet").inc()
        else:
            self._waiting.put_nowait(data)

    def send(self, label: str, message: bytes) -> None:
        """Send a message on the channel of a label, if there is one."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount + len(message) > MAX_BUFFERED:
            dropped.labels("slow").inc()
            if _is_reliable(channel):
                channel.close()
            return
        try:
            channel.send(message)
        except (ValueError, InvalidStateError):
            dropped.labels("refused").inc()

    def close(self) -> None:
        """End it, without ceremony."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, sctp: RTCSctpTransport, remote_port: int) -> None:
        """Handle what comes, one packet after the other, until cancelled or until a packet breaks the association."""
        try:
            first = await self._waiting.get()  # the client begins, when DTLS is done
            await sctp.start(None, remote_port)
            await sctp._handle_data(first)  # noqa: SLF001
            while True:
                await sctp._handle_data(await self._waiting.get())  # noqa: SLF001
        except (
            AssertionError,
            ValueError,
            KeyError,
            IndexError,
            UnicodeError,
            ConnectionError,
        ) as error:
            dropped.labels("broken").inc()
            log.info("data channels broken off", error=type(error).__name__)
        finally:
            self._channels.clear()
            await sctp.stop()

    def _opened(self, channel: RTCDataChannel) -> None:
        if len(self._channels) >= MAX_CHANNELS or len(channel.label) > MAX_LABEL:
            channel.close()
            return
        self._channels[channel.label] = channel
        channel.on("message", lambda data: self._heard(channel.label, data))
        channel.on("close", lambda: self._channels.pop(channel.label, None))

    def _heard(self, label: str, data: bytes | str) -> None:
        size = len(data.encode()) if isinstance(data, str) else len(data)
        if size > MAX_MESSAGE_BYTES:
            dropped.labels("long").inc()
        elif not self._is_allowed(time.monotonic()):
            dropped.labels("rate").inc()
        else:
            self.on_message(label, data)

    def _is_allowed(self, now: float) -> bool:
        earned = (now - self._counted_at) * MESSAGES_PER_SECOND
        self._allowance = min(MESSAGES_PER_SECOND, self._allowance + earned)
        self._counted_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def data_message(participant: str, data: bytes | str) -> bytes:
    """Say who sent what, as it arrives at the others."""
    if isinstance(data, str):
        message = signaling_pb2.DataMessage(participant=participant, text=data)
    else:
        message = signaling_pb2.DataMessage(participant=participant, payload=data)
    return message.SerializeToString()


def _is_reliable(channel: RTCDataChannel) -> bool:
    return channel.maxRetransmits is None and channel.maxPacketLifeTime is None


__all__ = ["DataChannels", "data_message", "dropped"]
