"""Drives Janus (Debian's `janus`, its VideoRoom plugin) over its WebSocket API.

https://janus.conf.meetecho.com/docs/videoroom
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from loadtest.media.participant import Participant
from loadtest.peers.place import Place
from loadtest.peers.sfu import SfuFailed, process

PORT = 8188
START_SECONDS = 20.0
ANSWER_SECONDS = 20.0
PLUGIN = "janus.plugin.videoroom"
GENERAL = """general: {{
  configs_folder = "{folder}"
  session_timeout = 0
  debug_level = 3
  {loops}
}}
nat: {{ ignore_mdns = true }}
plugins: {{ disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_nosip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }}
transports: {{ disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so" }}
"""
WEBSOCKETS = (
    'general: {{ json = "compact" \n ws = true \n ws_port = {port} \n ws_ip = "{address}" }}\n'
)

Reply = dict[str, Any]


def is_installed() -> bool:
    """Tell whether there is a Janus."""
    return shutil.which("janus") is not None


class Handle:
    """A session's handle on the plugin. `on_event` gets what comes unasked."""

    def __init__(self, api: Api, number: int) -> None:
        self._api = api
        self.number = number

    async def say(self, body: Reply, jsep: Reply | None = None) -> Reply:
        """Send a message, and wait for the plugin's event. Raises SfuFailed."""
        more = {} if jsep is None else {"jsep": jsep}
        said = await self._api.ask("message", handle_id=self.number, body=body, **more)
        data = said.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise SfuFailed(f"Janus: {data['error']}")
        return said


class Api:
    """A session over the WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._session: Mapping[str, int] = {}
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._watchers: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Make the session."""
        self._session = {"session_id": int((await self.ask("create"))["data"]["id"])}

    async def attach(self, watcher: Any = None) -> Handle:
        """Make a handle; `watcher` is called with the data of events that come unasked, as a coroutine."""
        number = int((await self.ask("attach", plugin=PLUGIN))["data"]["id"])
        if watcher is not None:
            self._watchers[number] = watcher
        return Handle(self, number)

    async def ask(self, kind: str, **more: Any) -> Reply:
        """Send a request, and wait for more than an acknowledgement. Raises SfuFailed."""
        mark = secrets.token_hex(6)
        answer = self._waiting[mark] = asyncio.get_running_loop().create_future()
        request = {"janus": kind, "transaction": mark, **self._session, **more}
        await self._socket.send(json.dumps(request))
        try:
            said: Reply = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise SfuFailed(f"Janus does not answer {kind}") from None
        finally:
            del self._waiting[mark]
        if said["janus"] == "error":
            raise SfuFailed(f"Janus: {said['error']['reason']}")
        return said

    async def listen(self) -> None:
        """Take what Janus says, until the socket closes."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                said = json.loads(text)
                if said["janus"] == "ack":
                    continue
                answer = self._waiting.get(said.get("transaction", ""))
                if answer is not None and not answer.done():
                    answer.set_result(said)
                elif (watcher := self._watchers.get(said.get("sender", 0))) is not None:
                    task = asyncio.create_task(watcher(said.get("plugindata", {}).get("data", {})))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)


class _Seat:
    """A client's two handles: what it publishes, and its one subscription to everybody else's."""

    def __init__(self, api: Api, room: int, client: Participant) -> None:
        self._api = api
        self._room = room
        self._client = client
        self._subscription: Handle | None = None
        self._feeds: set[int] = set()
        self._turn = asyncio.Lock()

    async def join(self) -> None:
        client = self._client
        handle = await self._api.attach(self._watch)
        join = {"request": "join", "ptype": "publisher", "room": self._room}
        said = (await handle.say(join))["plugindata"]["data"]
        if client.uplink is not None:
            offer = {"type": "offer", "sdp": client.uplink.offer(), "trickle": False}
            answer = await handle.say({"request": "publish"}, offer)
            client.uplink.answered(answer["jsep"]["sdp"])
        await self._watch(said)
        await client.connected()

    async def _watch(self, data: Reply) -> None:
        """Subscribe to publishers that are new."""
        if self._client.downlink is None:
            return
        async with self._turn:
            feeds = {each["id"] for each in data.get("publishers", [])} - self._feeds
            if feeds:
                self._feeds |= feeds
                await self._subscribe([{"feed": feed} for feed in sorted(feeds)])

    async def _subscribe(self, streams: list[Reply]) -> None:
        if self._subscription is None:
            handle = self._subscription = await self._api.attach()
            join = {"request": "join", "ptype": "subscriber", "room": self._room}
            said = await handle.say({**join, "streams": streams})
        else:
            handle = self._subscription
            said = await handle.say({"request": "update", "subscribe": streams})
        if (offer := said.get("jsep")) is not None:
            assert self._client.downlink is not None
            answer = self._client.downlink.answer(offer["sdp"])
            jsep = {"type": "answer", "sdp": answer, "trickle": False}
            await handle.say({"request": "start"}, jsep)


class Janus:
    """A running Janus."""

    def __init__(self, api: Api, pid: int) -> None:
        self._api = api
        self._rooms: dict[int, asyncio.Task[None]] = {}
        self._pid = pid

    @property
    def pids(self) -> list[int]:
        """Janus's."""
        return [self._pid]

    async def join(self, room: int, client: Participant) -> None:
        """Seat a client. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        if room not in self._rooms:
            self._rooms[room] = asyncio.create_task(self._create(room + 1))
        await asyncio.shield(self._rooms[room])
        client.begin()
        await _Seat(self._api, room + 1, client).join()

    async def _create(self, room: int) -> None:
        handle = await self._api.attach()
        await handle.say(
            {
                "request": "create",
                "room": room,
                "publishers": 500,
                "bitrate": 0,
                "audiocodec": "opus",
                "videocodec": "vp8",
                "transport_wide_cc_ext": True,
            }
        )


@asynccontextmanager
async def janus(place: Place, folder: Path, event_loops: int) -> AsyncIterator[Janus]:
    """Run a Janus, with its configuration in `folder`; `event_loops` 0: as installed. Raises SfuFailed."""
    _configure(folder, place.there, event_loops)
    command = [*place.prefix, "janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")]
    async with (
        process(command, folder / "janus.log", os.environ) as started,
        await _reached(place.there, folder) as socket,
    ):
        api = Api(socket)
        listening = asyncio.create_task(api.listen())
        try:
            await api.begin()
            yield Janus(api, started.pid)
        finally:
            listening.cancel()


def _configure(folder: Path, address: str, event_loops: int) -> None:
    loops = f"event_loops = {event_loops}" if event_loops else ""
    websockets = WEBSOCKETS.format(port=PORT, address=address)
    folder.mkdir(exist_ok=True)
    (folder / "janus.jcfg").write_text(GENERAL.format(folder=folder, loops=loops))
    (folder / "janus.transport.websockets.jcfg").write_text(websockets)
    (folder / "janus.plugin.videoroom.jcfg").write_text("general: {}\n")


async def _reached(address: str, folder: Path) -> ClientConnection:
    """Connect, as soon as Janus listens. Raises SfuFailed."""
    until = asyncio.get_running_loop().time() + START_SECONDS
    while asyncio.get_running_loop().time() < until:
        try:
            return await connect(
                f"ws://{address}:{PORT}",
                subprotocols=["janus-protocol"],  # type: ignore[list-item]  # a NewType of str
                compression=None,
                max_size=None,
                proxy=None,
            )
        except OSError:
            await asyncio.sleep(0.1)
    raise SfuFailed(f"Janus does not start: see {folder / 'janus.log'}")


__all__ = ["Janus", "is_installed", "janus"]
