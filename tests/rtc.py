"""A WebRTC client of the tests' own: aiortc on loopback, two connections, as a browser would have them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aioice.ice
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

TIMEOUT_SECONDS = 20.0


@contextmanager
def on_loopback(*addresses: str) -> Iterator[None]:
    """Have aioice gather loopback addresses alone, which it would leave out; 127.0.0.1 when none is named."""
    before = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: list(addresses or ("127.0.0.1",))
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = before


class RtcClient:
    """Publishes a tone-less microphone and a synthetic camera; receives what it is offered.

    `received` are the latest remote tracks, by kind.
    """

    def __init__(self) -> None:
        self.publisher = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.subscriber = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.received: dict[str, Any] = {}
        self._arrived = asyncio.Condition()

        @self.subscriber.on("track")
        async def _(track: Any) -> None:
            async with self._arrived:
                self.received[track.kind] = track
                self._arrived.notify_all()

    async def offer(self, *, audio: bool = True, video: bool = True) -> str:
        """Offer what is published; returns the SDP."""
        if audio:
            self.publisher.addTransceiver(AudioStreamTrack(), direction="sendonly")
        if video:
            camera = self.publisher.addTransceiver(VideoStreamTrack(), direction="sendonly")
            codecs: list[RTCRtpCodecCapability] = RTCRtpSender.getCapabilities("video").codecs
            camera.setCodecPreferences([c for c in codecs if c.mimeType == "video/VP8"])
        await self.publisher.setLocalDescription(await self.publisher.createOffer())
        return self.publisher.localDescription.sdp

    @property
    def mids(self) -> dict[str, str]:
        """The kinds of the published sections, by mid."""
        return {str(t.mid): t.kind for t in self.publisher.getTransceivers()}

    async def answered(self, sdp: str) -> None:
        """Take the answer to `offer`."""
        await self.publisher.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def answer(self, sdp: str) -> str:
        """Answer an offer of the subscriber connection; returns the SDP."""
        await self.subscriber.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self.subscriber.setLocalDescription(await self.subscriber.createAnswer())
        return self.subscriber.localDescription.sdp

    async def frame(self, kind: str) -> Any:
        """Wait for the next decoded frame of a kind (`audio` or `video`)."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            async with self._arrived:
                await self._arrived.wait_for(lambda: kind in self.received)
            return await self.received[kind].recv()

    async def close(self) -> None:
        """Close both connections."""
        await self.publisher.close()
        await self.subscriber.close()
