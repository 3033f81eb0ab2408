"""One track's captions: what is said on it, as text, while it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from chassis import telemetry
from services.ai.desk import Desk
from services.ai.dictation import Dictation, Hypothesis, Job
from services.ai.speech import Recogniser, Settings
from services.ai.vad import Step

_given_up = telemetry.counter(
    "ai_speech_given_up_seconds", "Seconds of speech too late to be recognised."
)
_recognised = telemetry.counter("ai_speech_seconds", "Seconds of speech recognised, finally.")


class Captioner:
    """Recognises what a track says; `tell` hears of it. Run it beside the stream that it belongs to."""

    def __init__(
        self,
        recogniser: Recogniser,
        desk: Desk,
        room: str,
        tell: Callable[[Hypothesis], Awaitable[None]],
        settings: Settings,
        *,
        partials: bool = True,
    ) -> None:
        self.settings = settings
        self._recogniser = recogniser
        self._desk = desk
        self._room = room
        self._tell = tell
        self._dictation = Dictation(partials=partials)
        self._due = asyncio.Event()
        self._is_finished = False

    def take(self, steps: Iterable[Step]) -> None:
        """Take the next pieces of sound."""
        given_up = self._dictation.given_up_seconds
        for step in steps:
            self._dictation.take(step)
        _given_up.inc(self._dictation.given_up_seconds - given_up)
        self._look()

    def finish(self) -> None:
        """No more sound follows: what was being said is final, and `run` ends when all is recognised."""
        self._dictation.finish()
        self._is_finished = True
        self._due.set()

    async def run(self) -> None:
        """Recognise whatever is due."""
        while self._dictation.is_due() or not self._is_finished:
            await self._due.wait()
            if self._dictation.is_due():
                async with self._desk.turn(self._room, self._dictation.urgency):
                    await self._do(self._dictation.next())
            self._look()

    async def _do(self, job: Job | None) -> None:
        if job is None:
            return
        settings, memory = self.settings, job.segment.memory
        understood = await self._desk.run(
            lambda: self._recogniser.understand(job.samples, settings, memory, final=job.is_final)
        )
        if job.is_final:
            _recognised.inc(job.segment.seconds)
        if (hypothesis := self._dictation.done(job, understood)) is not None:
            await self._tell(hypothesis)

    def _look(self) -> None:
        if self._dictation.is_due() or self._is_finished:
            self._due.set()
        else:
            self._due.clear()


__all__ = ["Captioner"]
