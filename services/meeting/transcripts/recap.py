"""What a meeting came to: made by the ai service of what was said, on demand, and as a job that survives restarts.

Whatever ai answers, a point is only taken if it cites what was said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

from parley.ai.v1 import ai_pb2

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import DomainError
from services.meeting.domain import Meeting, TranscriptNotFound
from services.meeting.peers import Peers
from services.meeting.transcripts.store import Said, TranscriptStore
from services.meeting.transcripts.summary import PATIENCE, Point, Summary, chosen, delay, point
from services.meeting.transcripts.summary_store import Claim, SummaryStore
from services.meeting.transcripts.transcript import Segment, began, one_line

POLL_SECONDS = 2.0
ABANDONED_SECONDS = 60.0
MAKERS = 2
ASKED_SECONDS = 25.0
"""How long somebody waits for a summary at most; the call's own deadline may be sooner."""
JOB_SECONDS = 30.0

Work = Callable[[], Awaitable[bool]]
"""Does something, and tells whether there may be more to do at once."""

log = logs.get("meeting.recap")

_made = telemetry.counter(
    "meeting_summaries_made", "Summaries that were made when a meeting ended."
)
_given_up = telemetry.counter("meeting_summaries_given_up", "Summaries that could not be made.")


class Recaps:
    """Makes summaries."""

    def __init__(
        self, transcripts: TranscriptStore, summaries: SummaryStore, peers: Peers, clock: Clock
    ) -> None:
        self._transcripts = transcripts
        self._summaries = summaries
        self._peers = peers
        self._clock = clock

    async def make(
        self, meeting: Meeting, language: str = "", seconds: float = ASKED_SECONDS
    ) -> None:
        """Make a meeting's summary, of the last time where it recurs, and keep it. Raises TranscriptNotFound, and what ai answers."""
        said = await self._transcripts.said(meeting, meeting.start_time)
        language = language or meeting.settings.language_code
        summary = await self._summarised(meeting, said, language, seconds)
        if not await self._summaries.put(meeting, summary, said, self._clock.now()):
            raise TranscriptNotFound(meeting=meeting.name)

    async def catch_up(self, meeting: Meeting, since: datetime | None) -> tuple[list[Point], str]:
        """Tell what was said since a time, and what made that of it; nothing is kept. Raises what ai answers."""
        said = await self._transcripts.said(meeting, since)
        if not said.segments:
            return [], ""
        language = meeting.settings.language_code
        summary = await self._summarised(meeting, said, language, ASKED_SECONDS)
        return summary.in_order(), summary.model

    async def run(self) -> None:
        """Make what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(MAKERS):
                group.create_task(self._again(self.make_next, POLL_SECONDS))
            group.create_task(self._again(self.look_for_abandoned, ABANDONED_SECONDS))

    async def make_next(self) -> bool:
        """Make one summary that is due, or have it tried again later; tells whether there was one. Raises Unavailable."""
        if (claim := await self._summaries.claim(self._clock.now())) is None:
            return False
        try:
            await self.make(claim.meeting, seconds=JOB_SECONDS)
        except TranscriptNotFound:
            await self._summaries.release(claim, None)
        except DomainError as error:
            await self._put_off(claim, error)
        else:
            _made.inc()
            await self._summaries.release(claim, None)
        return True

    async def look_for_abandoned(self) -> bool:
        """Have meetings summarised that everybody has left and nobody has ended. Raises Unavailable."""
        await self._summaries.request_abandoned(self._clock.now())
        return False

    async def _again(self, work: Work, seconds: float) -> None:
        while True:
            try:
                while await work():
                    pass
            except DomainError as error:
                log.info("summaries wait", reason=error.reason)
            await asyncio.sleep(seconds)

    async def _put_off(self, claim: Claim, error: DomainError) -> None:
        due = self._clock.now() + delay(claim.attempt)
        if due > claim.request_time + PATIENCE:
            _given_up.inc()
            log.warning("summary given up", meeting=claim.meeting.name, reason=error.reason)
            await self._summaries.release(claim, None)
            return
        log.info("summary put off", meeting=claim.meeting.name, reason=error.reason)
        await self._summaries.release(claim, due)

    async def _summarised(
        self, meeting: Meeting, said: Said, language: str, seconds: float
    ) -> Summary:
        if not (segments := chosen(said.segments)):
            raise TranscriptNotFound(meeting=meeting.name)
        answer = await self._peers.summarise(
            map(_line, range(len(segments)), segments), language, seconds
        )
        return summary_from(answer, segments, began(meeting, segments[0].start_time))


def summary_from(
    answer: ai_pb2.SummarizeTextResponse, segments: Sequence[Segment], origin: datetime
) -> Summary:
    """Read ai's answer, in which a line's id is its place among the segments; without what cites nothing that was said."""
    known = {str(number): each for number, each in enumerate(segments)}

    def points(told: Iterable[ai_pb2.TextPoint]) -> tuple[Point, ...]:
        return tuple(
            point(text, cited, origin, assignee=one_line(each.assignee), due=one_line(each.due))
            for each in told
            if (text := one_line(each.text))
            and (cited := [known[line] for line in set(each.line_ids) if line in known])
        )

    return Summary(
        one_line(answer.overview),
        points(answer.topics),
        points(answer.decisions),
        points(answer.action_items),
        one_line(answer.model),
    )


def _line(number: int, segment: Segment) -> ai_pb2.TextLine:
    return ai_pb2.TextLine(id=str(number), speaker=segment.display_name, text=segment.text)


__all__ = ["Recaps", "summary_from"]
