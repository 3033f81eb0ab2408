"""What it costs a media worker to have one participant heard and seen: decoding, and the streams to the ai service.

Taps of TALKERS people run in this process, as they do in a worker, with sound that comes as it does from browsers; the
ai service is a process of its own that answers as a busy one would and computes nothing. The CPU time of all threads
is counted, less that of the same sound when nobody listens. Pictures are measured one by one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import av
import grpc
import numpy as np
import uvloop
from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from services.media import sdp
from services.media.fanout import PythonFanout
from services.media.forwarder import Forwarder, Terms
from services.media.glimpse import LAYER_SECONDS
from services.media.pictures import picture
from services.media.tap import Hypothesis, Tap, Wanted
from stack.bench import Figure

TALKERS = 20
WARM_SECONDS = 2.0
WINDOW_SECONDS = 10.0
PACKET_SECONDS = 0.02
PICTURES = 50
PARTIAL_CHUNKS, FINAL_CHUNKS = 12, 50
"""A chunk is 80 ms: a partial hypothesis a second, and a final one every four."""
BAR = 0.03


class _Answers(ai_pb2_grpc.AiServiceServicer):
    """Answers as an ai service does that hears everybody speak without a pause."""

    async def Analyze(  # noqa: N802  # gRPC's name
        self, requests: AsyncIterator[Any], _context: Any
    ) -> AsyncIterator[Any]:
        chunks = 0
        async for request in requests:
            if request.HasField("start"):
                yield ai_pb2.AnalyzeResponse(started=ai_pb2.AnalysisStarted())
                yield ai_pb2.AnalyzeResponse(voice_activity=ai_pb2.VoiceActivity(speaking=True))
                continue
            chunks += 1
            is_final = chunks % FINAL_CHUNKS == 0
            if is_final or chunks % PARTIAL_CHUNKS == 0:
                text = "what somebody says in about four seconds is as long as this"
                said = ai_pb2.SpeechHypothesis(segment=1 + chunks // FINAL_CHUNKS, text=text)
                said.final = is_final
                said.end_time.CopyFrom(request.audio.offset)
                yield ai_pb2.AnalyzeResponse(speech=said)


class _Ear:
    """Hears, and does nothing."""

    def spoke(self, *, speaking: bool) -> None:
        """Take note of nothing."""

    def said(self, hypothesis: Hypothesis) -> None:
        """Take note of nothing."""


def main() -> list[Figure]:
    """Measure, and compare with the bar."""
    sound = uvloop.run(_sound())
    small, large = (_picture_seconds(*size) for size in ((320, 180), (640, 360)))
    whole = sound + small / LAYER_SECONDS
    return [
        Figure("tap of a microphone, of a core", 100 * sound, "%"),
        Figure("a picture of 320x180", 1000 * small, "ms"),
        Figure("a picture of 640x360", 1000 * large, "ms"),
        Figure("tap of one participant, of a core", 100 * whole, "%", "< 3", whole < BAR),
    ]


async def _sound() -> float:
    """Measure the share of a core that one participant's sound takes."""
    async with _service() as channel:
        executor = ThreadPoolExecutor(1)
        stub: ai_pb2_grpc.AiServiceAsyncStub = ai_pb2_grpc.AiServiceStub(channel)
        taps = [Tap(stub, executor, "", str(number), _Ear()) for number in range(TALKERS)]
        for tap in taps:
            tap.want(Wanted(voice_activity=True, recognition=ai_pb2.RecognitionConfig()))
        packets = _packets(_opus())
        try:
            alone = await _spent([_forwarder(None) for _ in taps], packets)
            heard = await _spent([_forwarder(tap) for tap in taps], packets)
        finally:
            for tap in taps:
                tap.close()
    return max(0.0, heard - alone) / TALKERS


async def _spent(forwarders: Sequence[Forwarder], packets: Sequence[bytes]) -> float:
    """Feed packets as they would come; give the CPU time used, by the second."""
    encodings = [forwarder.encode(1, "", 0) for forwarder in forwarders]
    began = cpu = at = 0.0
    start = time.monotonic()
    for number in range(round((WARM_SECONDS + WINDOW_SECONDS) / PACKET_SECONDS)):
        due = start + number * PACKET_SECONDS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        at = time.monotonic()
        if not began and at - start >= WARM_SECONDS:
            began, cpu = at, time.process_time()
        for forwarder, encoding in zip(forwarders, encodings, strict=True):
            forwarder.receive(packets[number], encoding, at)
    return (time.process_time() - cpu) / (at - began)


def _forwarder(tap: Tap | None) -> Forwarder:
    nothing: Any = None  # is sent
    terms = Terms({sdp.OPUS.payload_type: sdp.OPUS.payload_type}, {})
    forwarder = Forwarder(sdp.OPUS, terms, PythonFanout(nothing, nothing, nothing), lambda _: None)
    forwarder.on_audio = None if tap is None else tap.feed
    return forwarder


def _packets(payloads: Sequence[bytes]) -> list[bytes]:
    """Lay payloads out as RTP, over and over, for as long as is measured."""
    head, count = (
        bytes((0x80, sdp.OPUS.payload_type)),
        round((WARM_SECONDS + WINDOW_SECONDS) / PACKET_SECONDS),
    )
    return [
        head
        + number.to_bytes(2, "big")
        + (960 * number).to_bytes(4, "big")
        + (1).to_bytes(4, "big")
        + payloads[number % len(payloads)]
        for number in range(count)
    ]


def _opus() -> list[bytes]:
    """Encode two seconds of noise that swells like speech, at 32 kbit/s."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate = 32_000
    random = np.random.default_rng(1)
    encoded: list[bytes] = []
    for at in range(100):
        swell = 6_000 * (1 + np.sin(at / 3)) / 2
        samples = (swell * random.standard_normal((1, 960))).clip(-32_768, 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, 960 * at
        encoded += [bytes(packet) for packet in encoder.encode(frame)]
    return encoded


def _picture_seconds(width: int, height: int) -> float:
    """Measure the CPU time that a picture takes, from its payloads to what is sent."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate = 30  # type: ignore[assignment]  # as FFmpeg's own types have it
    random = np.random.default_rng(1)
    coarse = random.integers(0, 255, (height * 3 // 2 // 10, width // 10), np.uint8)
    frame = av.VideoFrame.from_ndarray(np.kron(coarse, np.ones((10, 10), np.uint8)), "yuv420p")
    data = b"".join(bytes(p) for each in (frame, None) for p in encoder.encode(each))
    payloads = [
        bytes([0x10 * (at == 0)]) + data[at : at + 1_100] for at in range(0, len(data), 1_100)
    ]
    began = time.process_time()
    for _ in range(PICTURES):
        if (found := picture("VP8", payloads)) is not None:
            ai_pb2.AnalyzeRequest(frame=found).SerializeToString()
    return (time.process_time() - began) / PICTURES


@asynccontextmanager
async def _service() -> AsyncIterator[grpc.aio.Channel]:
    """Run the ai service's stand-in as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest.bench_ai_tap", "serve", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        process.terminate()
        await process.wait()


async def _serve() -> None:
    server = grpc.aio.server()
    ai_pb2_grpc.add_AiServiceServicer_to_server(_Answers(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(_serve())
    else:
        for figure in main():
            print(f"{figure.name}: {figure.value:.2f} {figure.unit} {figure.bar}")
