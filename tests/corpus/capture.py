"""Captures what browsers send, for the corpus that hostile-bytes tests begin from: `python -m tests.corpus.capture`.

A Chromium page publishes to a room in this very process and receives from it, on loopback, once per codec; aiortc
does the same. Kept are descriptions as they are, checks and DTLS records as they came, RTP and RTCP after SRTP; of
each shape one or two. What is here already is written anew.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter, defaultdict
from pathlib import Path

from playwright.async_api import Page

from loadtest.browser import ALLOW_DEVICES, chromium
from services.media.inlet import Inlet
from services.media.port import Port
from services.media.room import Room
from services.media.subscriber import Offer
from services.media.transport import Transport
from tests.media_room import ALL, MEETING, Told, a_room, join

HERE = Path(__file__).parent / "media"
ADDRESS = "https://capture.example/"
WAYS = (("VP8", False), ("VP8", True), ("H264", False), ("VP9", False), ("AV1", False))
SECONDS = 6
EACH_SHAPE = 2

PUBLISH = """async ([codec, simulcast]) => {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 960, height: 540 } });
  const connection = (window.publisher = new RTCPeerConnection());
  connection.addTransceiver(media.getAudioTracks()[0], { direction: "sendonly" });
  const rids = simulcast ? [["q", 4], ["h", 2], ["f", 1]] : [[undefined, 1]];
  const video = connection.addTransceiver(media.getVideoTracks()[0], {
    direction: "sendonly",
    sendEncodings: rids.map(([rid, scaleResolutionDownBy]) => ({ ...(rid && { rid }), scaleResolutionDownBy })),
  });
  const codecs = RTCRtpSender.getCapabilities("video").codecs;
  const first = codecs.filter((each) => each.mimeType === "video/" + codec);
  video.setCodecPreferences([...first, ...codecs.filter((each) => !first.includes(each))]);
  await connection.setLocalDescription();
  const sdp = await window.publish(connection.localDescription.sdp);
  await connection.setRemoteDescription({ type: "answer", sdp });
}"""
ANSWER = """async (sdp) => {
  const connection = (window.subscriber ??= new RTCPeerConnection());
  await connection.setRemoteDescription({ type: "offer", sdp });
  await connection.setLocalDescription();
  return connection.localDescription.sdp;
}"""


class Corpus:
    """Keeps of each shape the first few."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[object, ...]] = Counter()
        self._datagrams: dict[str, list[bytes]] = defaultdict(list)
        self._descriptions: list[str] = []

    def keep(self, kind: str, data: bytes) -> None:
        """Keep a datagram, unless there are enough of its shape."""
        shape = (kind, *_shape(kind, data))
        self._seen[shape] += 1
        if self._seen[shape] <= EACH_SHAPE:
            self._datagrams[kind].append(data)

    def describe(self, text: str) -> None:
        """Keep a description."""
        self._descriptions.append(text)

    def write(self, source: str) -> None:
        """Write what is kept: a file of each kind, with a line for each datagram, and a file for each description."""
        for kind, datagrams in self._datagrams.items():
            lines = [datagram.hex() + "\n" for datagram in datagrams]
            (HERE / f"{source}.{kind}").write_text("".join(lines))
        for number, text in enumerate(self._descriptions[:2], 1):
            (HERE / f"{source}-{number}.sdp").write_bytes(text.encode())

    def watch(self, transport: Transport) -> None:
        """Keep what a transport hands on, too."""
        inlet = transport.inlet
        on_rtp, on_rtcp = inlet.on_rtp, inlet.on_rtcp

        def rtp(packet: bytes) -> None:
            self.keep("rtp", packet)
            on_rtp(packet)

        def rtcp(packet: bytes) -> None:
            self.keep("rtcp", packet)
            on_rtcp(packet)

        inlet.on_rtp, inlet.on_rtcp = rtp, rtcp


def _shape(kind: str, data: bytes) -> tuple[object, ...]:
    if kind == "rtp":
        return (data[0], data[1], len(data) // 400)
    if kind == "rtcp":
        shape, at = [], 0
        while at + 4 <= len(data):
            first, packet_type, words = struct.unpack_from("!BBH", data, at)
            shape.append((first & 0x1F, packet_type))
            at += 4 + 4 * words
        return tuple(shape)
    return (data[0], len(data) // 64)


class Captured(Told):
    """Carries offers to a page instead of to aiortc, and keeps the descriptions."""

    def __init__(self, told: Told, corpus: Corpus, page: Page) -> None:
        super().__init__()
        self._told, self._corpus, self._page = told, corpus, page

    def offer(self, participant: str, offer: Offer) -> None:
        if not participant.endswith("/page"):
            self._told.offer(participant, offer)
        elif offer.revision == 1:  # the others come when the room closes
            task = asyncio.create_task(self._by_page(participant, offer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _by_page(self, participant: str, offer: Offer) -> None:
        answer = await self._page.evaluate(ANSWER, offer.sdp)
        self._corpus.describe(answer)
        assert self._told.room is not None
        self._told.room.peer(participant).subscriber.answer(answer, offer.revision)


def record(port: Port, corpus: Corpus) -> None:
    """Keep the datagrams of a port that are no media."""
    route = port._route

    def kept(datagram: bytes, source: tuple[str, int], now: float) -> None:
        if datagram[0] <= 63:
            corpus.keep("stun" if datagram[0] <= 3 else "dtls", datagram)
        route(datagram, source, now)

    port.fanout._route = kept  # type: ignore[attr-defined]  # the pure one


async def by_chromium(page: Page, codec: str, *, simulcast: bool) -> None:
    """Have a page publish by a codec, with aiortc's Ann in the room."""
    corpus = Corpus()
    async with a_room(port=watched_port()) as (room, told):
        record(room.port, corpus)
        room.listener = Captured(told, corpus, page)
        await join(room, told, "ann", publish=True)
        await page.goto(ADDRESS)
        participant = f"{MEETING}/participants/page"
        peer = room.start_peer(participant, ALL)
        for transport in (peer.publisher.transport, peer.subscriber.transport):
            corpus.watch(transport)

        async def publish(sdp: str) -> str:
            corpus.describe(sdp)
            return room.publish(participant, sdp, {}).answer

        await page.expose_function("publish", publish)
        await page.evaluate(PUBLISH, [codec, simulcast])
        await asyncio.sleep(SECONDS)
    corpus.write(f"chromium-{codec.lower()}{'-simulcast' * simulcast}")


async def by_aiortc() -> None:
    """Have aiortc publish to aiortc."""
    corpus = Corpus()
    async with a_room(port=watched_port()) as (room, told):
        record(room.port, corpus)
        ann = await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        corpus.describe(ann.publisher.localDescription.sdp)
        watched(room, corpus)
        await bob.frame("video")
        corpus.describe(bob.subscriber.localDescription.sdp)
        await asyncio.sleep(SECONDS)
    corpus.write("aiortc")


def watched_port() -> Port:
    """A port of pure Python, which lets itself be watched."""
    return Port("127.0.0.1:0", ("127.0.0.1",), "python")


def watched(room: Room, corpus: Corpus) -> None:
    """Keep what everybody sends."""
    for peer in room.peers.values():
        for transport in (peer.publisher.transport, peer.subscriber.transport):
            corpus.watch(transport)


async def main() -> None:
    """Capture all."""
    Inlet.connect = lambda *_: None  # type: ignore[method-assign]  # all packets go to `on_rtp`
    await by_aiortc()
    async with chromium(ALLOW_DEVICES) as browser:
        for codec, simulcast in WAYS:
            page = await browser.new_page()
            await page.route(
                f"{ADDRESS}**",
                lambda route: route.fulfill(content_type="text/html", body="<p>capture"),
            )
            await by_chromium(page, codec, simulcast=simulcast)
            await page.close()


if __name__ == "__main__":
    asyncio.run(main())
