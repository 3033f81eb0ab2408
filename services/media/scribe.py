"""What was said, on its way to the meeting's transcript: in order, bounded, tried again while the meeting service is away."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque

import grpc
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc
from parley.meeting.v1.transcript_pb2 import TranscriptSegment

from chassis import logs, telemetry
from services.media.announcer import TRANSIENT
from services.media.tap import Hypothesis
from services.media.track import PublishedTrack

WAITING = 5_000
"""Segments that may wait; when there are more the oldest are dropped, and counted."""
BATCH = 64
RETRY_MIN_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
MAX_TEXT = 4_000

log = logs.get("media.scribe")

_recorded = telemetry.counter("media_segments_recorded", "Final captions that a transcript took.")
_dropped = telemetry.counter("media_segments_dropped", "Final captions that no transcript took.")


class Scribe:
    """Records the final captions of all rooms of this worker. One that is sent twice has the same name both times."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._stub = transcript_pb2_grpc.CaptionServiceStub(mesh)
        self._waiting: deque[tuple[str, TranscriptSegment]] = deque()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def record(self, room: str, segment: TranscriptSegment) -> None:
        """Have a segment recorded."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            _dropped.inc()
        self._waiting.append((room, segment))
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Record what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._send(self._next())
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until nothing waits, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("segments left unrecorded", count=len(self._waiting))

    def _next(self) -> list[TranscriptSegment]:
        """Take the next segments of one room."""
        room = self._waiting[0][0]
        segments: list[TranscriptSegment] = []
        while self._waiting and self._waiting[0][0] == room and len(segments) < BATCH:
            segments.append(self._waiting.popleft()[1])
        return segments

    async def _send(self, segments: list[TranscriptSegment]) -> None:
        request = transcript_pb2.RecordSegmentsRequest(segments=segments)
        delay = RETRY_MIN_SECONDS
        while True:
            try:
                await self._stub.RecordSegments(request, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT or len(self._waiting) > WAITING // 2:
                    _dropped.inc(len(segments))
                    log.warning("not recorded", code=error.code().name, count=len(segments))
                    return
                await asyncio.sleep(delay)
                delay = min(2 * delay, RETRY_MAX_SECONDS)
            else:
                _recorded.inc(len(segments))
                return


def segment(room: str, track: PublishedTrack, hypothesis: Hypothesis) -> TranscriptSegment:
    """Show what somebody has said as a segment of the transcript."""
    speech = hypothesis.speech
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, f"{track.id}/{speech.segment}")
    shown = TranscriptSegment(
        name=f"{room}/transcript/{identifier}",
        participant=track.participant,
        text=speech.text[:MAX_TEXT],
        language_code=speech.language_code,
        confidence=min(1.0, max(0.0, speech.confidence)),
    )
    shown.start_time.FromMicroseconds(round(hypothesis.begin * 1e6))
    shown.end_time.FromMicroseconds(round(hypothesis.end * 1e6))
    return shown


__all__ = ["Scribe", "segment"]
