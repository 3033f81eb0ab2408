"""Lets go of what has been kept long enough, in the background, a batch at a time.

Every process of the service does so; each batch locks what it deletes from, and passes over what another has locked.
"""

from __future__ import annotations

import asyncio

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import DomainError
from chassis.idempotency import Answers
from services.meeting.room.chat_store import ChatStore
from services.meeting.room.poll_store import PollStore
from services.meeting.transcripts.store import TranscriptStore

SWEEP_SECONDS = 60.0

log = logs.get("meeting.retention")

_written = telemetry.counter(
    "meeting_chat_messages_expired", "Chat messages that had been kept long enough."
)
_gone = telemetry.counter("meeting_segments_expired", "Segments that had been kept long enough.")


class Retention:
    """Deletes what is due."""

    def __init__(
        self,
        transcripts: TranscriptStore,
        chats: ChatStore,
        polls: PollStore,
        answers: Answers,
        clock: Clock,
    ) -> None:
        self._transcripts = transcripts
        self._chats = chats
        self._polls = polls
        self._answers = answers
        self._clock = clock

    async def run(self) -> None:
        """Sweep again and again, for ever."""
        while True:
            try:
                await self.sweep()
            except DomainError as error:
                log.info("retention waits", reason=error.reason)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Delete all that is due now. Raises Unavailable."""
        while gone := await self._transcripts.let_go(self._clock.now()):
            _gone.inc(gone)
            log.info("segments expired", count=gone)
        while gone := await self._chats.let_go(self._clock.now()):
            _written.inc(gone)
            log.info("chat messages expired", count=gone)
        while forgotten := await self._polls.forget_voters(self._clock.now()):
            log.info("voters forgotten", count=forgotten)
        while pruned := await self._answers.prune():
            log.info("first answers forgotten", count=pruned)


__all__ = ["Retention"]
