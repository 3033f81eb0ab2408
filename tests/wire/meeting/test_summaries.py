"""What a meeting came to, made by ai of what was said, and resting on it: real Postgres, and an ai that we play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from parley.ai.v1 import ai_pb2
from parley.meeting.v1 import transcript_pb2

from chassis import channels
from chassis.clock import ManualClock
from services.meeting.transcripts.summary import SETTLING
from tests.conftest import DatabaseFactory
from tests.meeting_stand import (
    BEGIN,
    PATIENCE_SECONDS,
    Person,
    Stand,
    after,
    refusal,
    said,
    stand_with,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGIN)


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path, clock):
        it.neighbours.summarise = first_and_last
        yield it


@pytest.fixture
def host(stand: Stand) -> Person:
    return stand.person()


@pytest.fixture
async def meeting(host: Person) -> str:
    name = await host.create()
    await host.switch(name, captions=True, transcript=True, summary=True, language_code="en")
    return name


@pytest.fixture
async def ann(host: Person, meeting: str) -> str:
    participant = await host.join(meeting, "Ann")
    await host.agree(participant, transcript=True)
    return participant


async def first_and_last(request: ai_pb2.SummarizeTextRequest) -> ai_pb2.SummarizeTextResponse:
    """Take the first line for the topic and the last for what is to be done, and say something that nobody said."""
    first, last = request.lines[0], request.lines[-1]
    answer = ai_pb2.SummarizeTextResponse(overview="In short.", model="stand@1")
    answer.action_items.add(text=last.text, line_ids=[last.id], assignee=last.speaker, due="Friday")
    answer.topics.add(text=first.text, line_ids=[first.id, "no such line"])
    answer.decisions.add(text="invented", line_ids=["no such line"])
    answer.decisions.add(text="invented as well")
    return answer


async def summary(person: Person, meeting: str) -> transcript_pb2.Summary:
    request = transcript_pb2.GetSummaryRequest(name=f"{meeting}/summary")
    return await person.records.GetSummary(request, metadata=person.metadata)  # type: ignore[no-any-return]


async def generate(person: Person, meeting: str, language: str = "") -> transcript_pb2.Summary:
    request = transcript_pb2.GenerateSummaryRequest(
        name=f"{meeting}/summary", language_code=language
    )
    return await person.records.GenerateSummary(request, metadata=person.metadata)  # type: ignore[no-any-return]


async def catch_up(
    person: Person, meeting: str, since: datetime | None = None
) -> transcript_pb2.CatchUpResponse:
    request = transcript_pb2.CatchUpRequest(name=meeting)
    if since is not None:
        request.since.FromDatetime(since)
    return await person.records.CatchUp(request, metadata=person.metadata)  # type: ignore[no-any-return]


async def made(person: Person, meeting: str, clock: ManualClock) -> transcript_pb2.Summary:
    """Let time pass until there is a summary."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await summary(person, meeting)
            except grpc.aio.AioRpcError as error:
                assert channels.reason(error) == "SUMMARY_NOT_FOUND"
            clock.advance(SETTLING.total_seconds())
            await asyncio.sleep(0.1)


async def test_when_the_meeting_ends_it_is_summarised_with_what_that_rests_on(
    stand: Stand, host: Person, meeting: str, ann: str, clock: ManualClock
) -> None:
    first, last = said(ann, "the budget", after(0)), said(ann, "I'll send it", after(90))
    await stand.record(last, first)
    await host.end(meeting)
    assert await refusal(summary(host, meeting)) == "SUMMARY_NOT_FOUND"
    found = await made(host, meeting, clock)
    assert (found.name, found.overview, found.model) == (
        f"{meeting}/summary",
        "In short.",
        "stand@1",
    )
    (topic,) = found.topics
    assert (topic.text, list(topic.citations)) == ("the budget", [first.name])
    (item,) = found.action_items
    assert (item.assignee, item.due, list(item.point.citations)) == ("Ann", "Friday", [last.name])
    assert item.point.offset.ToTimedelta() == timedelta(seconds=90)
    assert not found.decisions
    assert found.create_time.ToDatetime(UTC) >= BEGIN + SETTLING
    (asked,) = stand.neighbours.to_summarise
    assert [line.speaker for line in asked.lines] == ["Ann", "Ann"]
    assert asked.language_code == "en"


async def test_ai_that_is_away_is_asked_again(
    stand: Stand, host: Person, meeting: str, ann: str, clock: ManualClock
) -> None:
    stand.neighbours.summarise = None
    await stand.record(said(ann, "the budget", after(0)))
    await host.end(meeting)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(stand.neighbours.to_summarise) < 2:  # what is waited for is a list that grows
            clock.advance(SETTLING.total_seconds())
            await asyncio.sleep(0.1)
    assert await refusal(summary(host, meeting)) == "SUMMARY_NOT_FOUND"
    stand.neighbours.summarise = first_and_last
    assert (await made(host, meeting, clock)).overview == "In short."


async def test_a_recap_without_a_transcript_leaves_nothing_that_was_said(
    stand: Stand, host: Person, meeting: str, ann: str, clock: ManualClock
) -> None:
    await host.switch(meeting, transcript=False)
    await stand.record(said(ann, "the budget", after(0)), said(ann, "I'll send it", after(90)))
    await host.end(meeting)
    found = await made(host, meeting, clock)
    assert not found.topics[0].citations
    assert found.action_items[0].point.offset.ToTimedelta() == timedelta(seconds=90)


async def test_the_host_has_one_made_at_any_time(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    assert await refusal(generate(host, meeting)) == "TRANSCRIPT_NOT_FOUND"
    await stand.record(said(ann, "the budget", after(0)))
    assert (await generate(host, meeting, "zh")).topics[0].text == "the budget"
    assert stand.neighbours.to_summarise[-1].language_code == "zh"
    guest = stand.person()
    assert await refusal(summary(guest, meeting)) == "NOT_PARTICIPANT"
    await guest.join(meeting)
    assert (await summary(guest, meeting)).overview == "In short."
    assert await refusal(generate(guest, meeting)) == "NOT_HOST"
    await host.switch(meeting, summary=False)
    assert await refusal(generate(host, meeting)) == "SUMMARY_OFF"


async def test_ai_that_is_away_leaves_what_there_is(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await stand.record(said(ann, "the budget", after(0)))
    await generate(host, meeting)
    stand.neighbours.summarise = None
    assert await refusal(generate(host, meeting)) == "UNAVAILABLE"
    assert (await summary(host, meeting)).overview == "In short."


async def test_what_is_deleted_while_it_is_summarised_is_gone(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    async def too_late(request: ai_pb2.SummarizeTextRequest) -> ai_pb2.SummarizeTextResponse:
        await host.delete(meeting)
        return await first_and_last(request)

    stand.neighbours.summarise = too_late
    await stand.record(said(ann, "regretted", after(0)))
    assert await refusal(generate(host, meeting)) == "TRANSCRIPT_NOT_FOUND"
    assert await refusal(summary(host, meeting)) == "SUMMARY_NOT_FOUND"


async def test_the_summary_goes_with_the_transcript(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await stand.record(said(ann, "regretted", after(0)))
    await generate(host, meeting)
    await host.delete(meeting)
    assert await refusal(summary(host, meeting)) == "SUMMARY_NOT_FOUND"


async def test_who_comes_late_is_told_what_was_said_in_order(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    segments = [said(ann, text, after(60 * n)) for n, text in enumerate(("one", "two", "three"))]
    await stand.record(*segments)
    guest = stand.person()
    assert await refusal(catch_up(guest, meeting)) == "NOT_PARTICIPANT"
    await guest.join(meeting)
    told = await catch_up(guest, meeting)
    assert [point.text for point in told.points] == ["one", "three"]
    told = await catch_up(guest, meeting, after(60))
    assert [point.text for point in told.points] == ["two", "three"]
    assert list(told.points[0].citations) == [segments[1].name]
    assert told.model == "stand@1"
    assert not (await catch_up(guest, meeting, after(600))).points
    assert await refusal(summary(guest, meeting)) == "SUMMARY_NOT_FOUND"
    await host.switch(meeting, captions=False)
    assert await refusal(catch_up(guest, meeting)) == "CAPTIONS_OFF"


async def test_a_meeting_without_the_switch_is_not_summarised(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await stand.record(said(ann, "the budget", after(0)))
    await host.switch(meeting, summary=False)
    await host.end(meeting)
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT 1 FROM summaries").fetchone() is None
