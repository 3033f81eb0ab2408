"""What is said in a recording, segment by segment, as far as it has got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import BinaryIO

from services.ai.desk import Desk, Urgency
from services.ai.dictation import Dictation, Hypothesis, Job
from services.ai.recordings import PIECE_BYTES, pieces
from services.ai.speech import Recogniser, Settings
from services.ai.vad import Network, VoiceActivity


@dataclass(frozen=True, slots=True)
class Progress:
    """What is new, how many seconds are done, how long the recording is (as it says, until it `is_over`)."""

    segments: tuple[Hypothesis, ...]
    done: float
    duration: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class Transcriber:
    """Recognises recordings when the live streams leave time: `reading` decodes them, `desk` gives turns."""

    recogniser: Recogniser
    network: Network
    desk: Desk
    reading: Executor

    async def transcribe(
        self, file: BinaryIO, room: str, settings: Settings, max_seconds: float
    ) -> AsyncIterator[Progress]:
        """Recognise a file, a piece at a time. Raises AudioInvalid, AudioTooLong."""
        dictation = Dictation(partials=False)
        steps = _Steps(file, self.network, dictation, max_seconds)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(self.reading, steps.read):
            found = []
            while (job := dictation.next()) is not None:
                found.append(await self._understood(job, room, settings, dictation))
            segments = tuple(each for each in found if each is not None and each.text)
            duration = steps.done if steps.is_over else max(steps.duration, steps.done)
            yield Progress(segments, steps.done, duration, steps.is_over)

    async def _understood(
        self, job: Job, room: str, settings: Settings, dictation: Dictation
    ) -> Hypothesis | None:
        async with self.desk.turn(room, lambda: Urgency.NEXT):
            understood = await self.desk.run(
                lambda: self.recogniser.understand(
                    job.samples, settings, job.segment.memory, final=True
                )
            )
        return dictation.done(job, understood)


class _Steps:
    """A recording on its way into a dictation."""

    def __init__(
        self, file: BinaryIO, network: Network, dictation: Dictation, max_seconds: float
    ) -> None:
        self._pieces: Iterator[tuple[bytes, float]] = pieces(file, max_seconds)
        self._voice = VoiceActivity(network)
        self._dictation = dictation
        self.is_over = False
        self.done = self.duration = 0.0

    def read(self) -> bool:
        """Give the dictation another second; False when it was told of the end before."""
        if self.is_over:
            return False
        try:
            pcm, self.duration = next(self._pieces)
        except StopIteration:
            self.is_over = True
            self._dictation.finish()
            return True
        for step in self._voice.steps(pcm, self.done):
            self._dictation.take(step)
        self.done += len(pcm) / PIECE_BYTES
        return True


__all__ = ["Progress", "Transcriber"]
