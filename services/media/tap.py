"""The AI tap: a copy of a participant's sound, decoded off the media thread and streamed to AiService.Analyze.

Nothing waits for it: the queues drop what is oldest when decoding or the ai service is behind, and when that service is
away the tap tries again, later and later, while media is forwarded as ever. What is wanted may change while it streams.
Where speech is recognised, the sound since the last final hypothesis is kept, so that another ai process can go on
where one has died.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from chassis import channels, logs, telemetry
from services.media import rtp
from services.media.captions import Captions
from services.media.opus import SAMPLE_RATE, OpusDecoder, OpusInvalid
from services.media.sound import BYTES_PER_SECOND, Backlog, Chunk, TrackClock

QUEUE = 100
"""Packets: two seconds."""
BATCH_PACKETS = 4
SILENCE_SECONDS = 0.6
"""A sender that sends nothing (muted, or DTX) does not speak."""
SILENCE = bytes(BYTES_PER_SECOND)
"""What a recogniser is given then, so that it ends what was being said."""
RETRY_MIN_SECONDS = 0.5
RETRY_MAX_SECONDS = 5.0
FINISH_SECONDS = 3.0
"""How long a tap that takes no more sound waits for what is made of it."""
REFUSED_SECONDS = 60.0
"""How long speech is not asked for when the ai service does not recognise it; voice activity goes on."""
REFUSALS = (
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INTERNAL,
)
"""With these one does not ask for the same again. gRPC says INTERNAL as well when a call ends while one speaks."""
NOT_READY = "MODEL_NOT_READY"

log = logs.get("media.tap")

_dropped = telemetry.counter("media_tap_dropped", "Audio packets that the ai service never got.")
streams = telemetry.gauge("media_analyses", "Analyses that run now, by kind of track.", ("kind",))


class Hypothesis(NamedTuple):
    """What somebody says. `begin` and `end` are when it was said (seconds since the epoch)."""

    speech: ai_pb2.SpeechHypothesis
    begin: float
    end: float


class Ear(Protocol):
    """Who hears what comes of a track."""

    def spoke(self, *, speaking: bool) -> None:
        """Speech has begun or ended."""
        ...

    def said(self, hypothesis: Hypothesis) -> None:
        """Something is being said, or has been."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a track; `recognition` says how speech is recognised, None: it is not."""

    voice_activity: bool = False
    recognition: ai_pb2.RecognitionConfig | None = None

    @property
    def features(self) -> list[ai_pb2.AnalysisFeature.ValueType]:
        """As the ai service calls it."""
        voice = [ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY] if self.voice_activity else []
        speech = [ai_pb2.ANALYSIS_FEATURE_SPEECH] if self.recognition is not None else []
        return [*voice, *speech]


NOTHING = Wanted()


class Tap:
    """One audio track's way to the ai service."""

    def __init__(
        self,
        stub: ai_pb2_grpc.AiServiceAsyncStub,
        decoding: Executor,
        participant: str,
        track_id: str,
        ear: Ear,
    ) -> None:
        self._stub = stub
        self._decoding = decoding
        self._participant = participant
        self._track_id = track_id
        self._ear = ear
        self._wanted = NOTHING
        self._since = 0.0
        self._refused_until = 0.0
        self._takes_updates = True
        self._asked = NOTHING
        self._speaking = False
        self._has_voice = False
        self._has_updated = False
        self._is_padded = False
        self._is_finished = False
        self._turn = 0
        self._clock = TrackClock()
        self._captions = Captions()
        self._backlog = Backlog()
        self._more = asyncio.Event()
        self._packets: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE)
        self._task = asyncio.create_task(self._run())

    def want(self, wanted: Wanted) -> None:
        """Want something else: what is wanted no more ends at once, speech is recognised of what comes from now on."""
        if wanted == self._wanted:
            return
        before, self._wanted = self._wanted, wanted
        if wanted.recognition is None:
            self._backlog.forget()
        elif before.recognition is None:
            self._backlog.keeps = True
            self._since = self._clock.edge(time.monotonic())
            self._captions.begin(self._since)
        if not wanted.voice_activity:
            self._say(speaking=False)
        self._more.set()

    def feed(self, packet: bytes) -> None:
        """Take an RTP packet of the track."""
        if self._packets.full():
            self._packets.get_nowait()
            _dropped.inc()
        self._packets.put_nowait((time.monotonic(), packet))

    def close(self) -> None:
        """End the analysis."""
        self._task.cancel()

    def finish(self, then: Callable[[], None]) -> None:
        """Take no more sound, but tell what is made of what was taken, if that is soon; `then` it is over."""
        self._is_finished = True
        self._more.set()
        timer = asyncio.get_running_loop().call_later(FINISH_SECONDS, self._task.cancel)

        def over(_task: asyncio.Task[None]) -> None:
            timer.cancel()
            then()

        self._task.add_done_callback(over)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            decoding = group.create_task(self._decode())
            await self._converse()
            decoding.cancel()

    async def _decode(self) -> None:
        """Put sound into the backlog, for ever."""
        loop, decoder = asyncio.get_running_loop(), OpusDecoder()
        while True:
            packets = await self._batch()
            if not packets:
                continue
            self._is_padded = False
            came, first = packets[0]
            offset = self._clock.read(rtp.timestamp(first), came)
            pcm = await loop.run_in_executor(
                self._decoding, _decoded, decoder, [packet for _, packet in packets]
            )
            if pcm:
                self._put(Chunk(offset, pcm[: 2 * SAMPLE_RATE]))

    async def _batch(self) -> list[tuple[float, bytes]]:
        """Wait for some packets; none for a while means silence."""
        packets: list[tuple[float, bytes]] = []
        is_open = self._speaking or (self._captions.is_open and not self._is_padded)
        try:
            async with asyncio.timeout(SILENCE_SECONDS if is_open else None):
                while len(packets) < BATCH_PACKETS:
                    packets.append(await self._packets.get())
        except TimeoutError:
            self._say(speaking=False)
            if self._captions.is_open and not packets:
                self._is_padded = True
                self._put(Chunk(self._backlog.end, SILENCE))
        return packets

    def _put(self, chunk: Chunk) -> None:
        is_known = self._wanted.voice_activity
        self._backlog.is_quiet = is_known and not self._has_voice and not self._captions.is_open
        _dropped.inc(BATCH_PACKETS * self._backlog.put(chunk))
        self._more.set()

    async def _converse(self) -> None:
        """Have the sound analysed, by one process after the other, until there is no more."""
        delay = RETRY_MIN_SECONDS
        while not self._is_finished:
            first = await self._next()
            self._asked = self._due(first)
            with streams.labels("audio").track_inprogress():
                if await self._analyse():
                    delay = RETRY_MIN_SECONDS
            self._say(speaking=False)
            if self._wanted != NOTHING and not self._is_finished:
                await asyncio.sleep(delay)
                delay = min(2 * delay, RETRY_MAX_SECONDS)

    async def _analyse(self) -> bool:
        """Have the sound analysed while there is somebody to do it; tells whether there was."""
        begun = asyncio.Event()
        self._turn += 1
        self._has_voice = self._has_updated = False
        self._backlog.rewind()
        self._captions.resume()
        try:
            async for answer in self._stub.Analyze(self._requests(begun)):
                begun.set()
                self._take(answer)
        except grpc.aio.AioRpcError as error:
            log.info("analysis broke off", code=error.code().name)
            self._note_refusal(error, has_begun=begun.is_set())
        self._turn += 1
        return begun.is_set()

    def _note_refusal(self, error: grpc.aio.AioRpcError, *, has_begun: bool) -> None:
        """Ask for less where the ai service does not know speech, or does not know that one may change one's mind."""
        is_refusal = error.code() in REFUSALS or channels.reason(error) == NOT_READY
        if is_refusal and has_begun and self._has_updated:
            self._takes_updates = False
        elif is_refusal and not has_begun and self._asked.recognition is not None:
            self._refused_until = time.monotonic() + REFUSED_SECONDS

    async def _requests(self, begun: asyncio.Event) -> AsyncIterator[ai_pb2.AnalyzeRequest]:
        asked, turn = self._asked, self._turn
        yield ai_pb2.AnalyzeRequest(
            start=ai_pb2.AnalysisStart(
                participant=self._participant,
                track_id=self._track_id,
                features=asked.features,
                recognition=asked.recognition,
            )
        )
        await begun.wait()
        while turn == self._turn:  # gRPC asks for one more when a call is over
            chunk = self._backlog.next()
            due = self._due(chunk)
            if self._wanted == NOTHING or (chunk is None and self._is_finished):
                return
            if chunk is None and due in (asked, NOTHING):
                self._more.clear()
                await self._more.wait()
            elif chunk is not None and due == NOTHING:
                self._backlog.sent()
            elif due != asked:
                if not self._takes_updates:
                    return
                self._asked, self._has_updated, asked = due, True, due
                update = ai_pb2.AnalysisUpdate(features=due.features, recognition=due.recognition)
                yield ai_pb2.AnalyzeRequest(update=update)
            elif chunk is not None:
                self._backlog.sent()
                audio = ai_pb2.AudioChunk(pcm=chunk.pcm)
                audio.offset.FromMicroseconds(round(chunk.offset * 1_000_000))
                yield ai_pb2.AnalyzeRequest(audio=audio)

    async def _next(self) -> Chunk:
        """Wait for sound of which something is wanted."""
        while True:
            chunk = self._backlog.next()
            if chunk is None:
                self._more.clear()
                await self._more.wait()
            elif self._due(chunk) == NOTHING:
                self._backlog.sent()
            else:
                return chunk

    def _due(self, chunk: Chunk | None) -> Wanted:
        """Tell what is wanted of the sound that comes next: speech not of what came before that was wanted."""
        wanted = self._wanted
        if wanted.recognition is None:
            return wanted
        is_early = self._asked.recognition is None if chunk is None else chunk.offset < self._since
        if is_early or time.monotonic() < self._refused_until:
            return Wanted(wanted.voice_activity)
        return wanted

    def _take(self, answer: ai_pb2.AnalyzeResponse) -> None:
        match answer.WhichOneof("message"):
            case "voice_activity":
                self._has_voice = answer.voice_activity.speaking
                self._say(speaking=self._has_voice and self._wanted.voice_activity)
            case "speech":
                self._hear(answer.speech)
            case "error":
                log.info("not analysed", why=answer.error.message)

    def _hear(self, heard: ai_pb2.SpeechHypothesis) -> None:
        if self._wanted.recognition is None:
            return
        told = self._captions.take(heard, time.monotonic())
        if told is None:
            return
        begin, end = (
            self._wall(each.ToMicroseconds() / 1e6) for each in (told.start_time, told.end_time)
        )
        if told.final:
            self._backlog.settle(told.end_time.ToMicroseconds() / 1e6)
        self._ear.said(Hypothesis(told, begin, end))

    def _wall(self, offset: float) -> float:
        """Tell when that was, in seconds since the epoch."""
        return time.time() - (time.monotonic() - self._clock.came(offset))

    def _say(self, speaking: bool) -> None:  # as the ai service says it
        if speaking != self._speaking:
            self._speaking = speaking
            self._ear.spoke(speaking=speaking)


def _decoded(decoder: OpusDecoder, packets: list[bytes]) -> bytes:
    pcm = b""
    for packet in packets:
        try:
            pcm += decoder.decode(rtp.payload(packet))
        except (OpusInvalid, rtp.PacketInvalid):
            _dropped.inc()
    return pcm


__all__ = ["NOTHING", "Ear", "Hypothesis", "Tap", "Wanted", "streams"]
