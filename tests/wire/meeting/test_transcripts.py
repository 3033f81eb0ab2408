"""What is said is kept of those who agreed, for those who were there, for as long as the host wants: real Postgres."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import psycopg
import pytest
from google.protobuf import json_format
from parley.meeting.v1 import transcript_pb2

from chassis.clock import ManualClock
from services.meeting.transcripts.transcript import AFTERWARDS, MAX_SEGMENTS
from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, Person, Stand, after, refusal, said, stand_with


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGIN)


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path, clock):
        yield it


@pytest.fixture
def host(stand: Stand) -> Person:
    return stand.person()


@pytest.fixture
async def meeting(host: Person) -> str:
    name = await host.create()
    await host.switch(name, captions=True, transcript=True)
    return name


@pytest.fixture
async def ann(host: Person, meeting: str) -> str:
    participant = await host.join(meeting, "Ann")
    await host.agree(participant, transcript=True)
    return participant


async def export(person: Person, meeting: str, form: int) -> tuple[str, str, str]:
    """Read a file: what it says, its content type and its name."""
    request: Any = transcript_pb2.ExportTranscriptRequest(name=meeting, format=form)  # type: ignore[arg-type]
    call = person.records.ExportTranscript(request, metadata=person.metadata)
    pieces = [piece async for piece in call]
    headers = dict(await call.initial_metadata())
    name = re.findall('"(.*)"', headers["content-disposition"])[0]
    return b"".join(piece.data for piece in pieces).decode(), pieces[0].content_type, name


async def test_only_of_those_who_agreed_and_under_their_names(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    guest = stand.person()
    bob = await guest.join(meeting, "Bob")
    stranger = f"{meeting}/participants/00000000-0000-0000-0000-000000000000"
    await stand.record(
        said(bob, "not for the record", after(1)),
        said(ann, "good  morning\n", after(0)),
        said(stranger, "who am I", after(2)),
    )
    await guest.agree(bob, transcript=True)
    await stand.record(said(bob, "this is", after(3)))
    await guest.agree(bob)
    await stand.record(said(bob, "this is not", after(4)))
    request = transcript_pb2.ListTranscriptSegmentsRequest(parent=meeting)
    page = await guest.records.ListTranscriptSegments(request, metadata=guest.metadata)
    shown = [(each.display_name, each.participant, each.text) for each in page.segments]
    assert shown == [("Ann", ann, "good morning"), ("Bob", bob, "this is")]
    first = page.segments[0]
    assert first.start_time.ToDatetime(UTC) == after(0)
    assert (first.language_code, round(first.confidence, 3)) == ("en", 0.9)


async def test_only_those_who_were_there_read_it(stand: Stand, meeting: str, ann: str) -> None:
    await stand.record(said(ann, "between us", after(0)))
    stranger = stand.person()
    assert await refusal(stranger.transcript(meeting)) == "NOT_PARTICIPANT"
    form = transcript_pb2.TRANSCRIPT_FORMAT_TEXT
    assert await refusal(export(stranger, meeting, form)) == "NOT_PARTICIPANT"
    assert await refusal(stranger.delete(meeting)) == "NOT_HOST"
    await stranger.join(meeting)
    assert await stranger.transcript(meeting) == ["between us"]


async def test_what_media_tells_twice_is_kept_once(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    segment = said(ann, "once", after(0))
    await stand.record(segment)
    await stand.record(segment, said(ann, "and again", after(1)))
    assert await host.transcript(meeting) == ["once", "and again"]


async def test_nothing_is_kept_while_it_is_off_or_of_a_meeting_that_is_long_over(
    stand: Stand, host: Person, meeting: str, ann: str, clock: ManualClock
) -> None:
    await host.switch(meeting, transcript=False)
    assert await refusal(stand.record(said(ann, "off", after(0)))) == "TRANSCRIPT_OFF"
    await host.switch(meeting, transcript=True)
    await host.end(meeting)
    await stand.record(said(ann, "the last words", after(0)))
    clock.advance(AFTERWARDS.total_seconds() + 1)
    assert await refusal(stand.record(said(ann, "late", after(1)))) == "TRANSCRIPT_OFF"
    assert await host.transcript(meeting) == ["the last words"]


async def test_segments_that_are_none_are_refused(stand: Stand, meeting: str, ann: str) -> None:
    nameless, turned, timeless = (said(ann, "x", after(0)) for _ in range(3))
    nameless.name = f"{meeting}/transcript/1"
    turned.end_time.FromDatetime(after(-1))
    timeless.ClearField("start_time")
    other = said(ann, "x", after(0))
    other.name = other.name.replace(meeting, "meetings/abc-defg-hij")
    for wrong in (nameless, turned, timeless, other):
        assert await refusal(stand.record(wrong)) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("BUDGET", ["The budget is 100% spent"]),
        ("预算", ["我们先看预算吧"]),
        ("0%", ["The budget is 100% spent"]),
        ("%", ["The budget is 100% spent"]),
        ("_", ["snake_case"]),
        ("été", ["L'ÉTÉ prochain"]),
        (" is  100% ", ["The budget is 100% spent"]),
        ("\0budget", ["The budget is 100% spent"]),
        ("nothing of it", []),
    ],
)
async def test_it_is_searched_for_what_it_contains(
    stand: Stand, host: Person, meeting: str, ann: str, query: str, found: list[str]
) -> None:
    texts = ("The budget is 100% spent", "我们先看预算吧", "snake_case", "L'ÉTÉ prochain")
    await stand.record(*(said(ann, text, after(n)) for n, text in enumerate(texts)))
    assert await host.transcript(meeting, query=query) == found


async def test_what_was_said_since_a_time(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await stand.record(*(said(ann, str(n), after(n)) for n in range(3)))
    request = transcript_pb2.ListTranscriptSegmentsRequest(parent=meeting)
    request.start_time.FromDatetime(after(1))
    page = await host.records.ListTranscriptSegments(request, metadata=host.metadata)
    assert [each.text for each in page.segments] == ["1", "2"]
    request.start_time.seconds = 10**17
    answer = host.records.ListTranscriptSegments(request, metadata=host.metadata)
    assert await refusal(answer) == "INVALID_ARGUMENT"


async def test_pages_have_each_segment_once_while_more_is_said(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await stand.record(*(said(ann, str(n), after(n // 2)) for n in range(5)))
    texts: list[str] = []
    request = transcript_pb2.ListTranscriptSegmentsRequest(parent=meeting, page_size=2)
    while True:
        page = await host.records.ListTranscriptSegments(request, metadata=host.metadata)
        texts += [each.text for each in page.segments]
        if not page.next_page_token:
            break
        await stand.record(said(ann, "late", after(-1)))
        request.page_token = page.next_page_token
    assert sorted(texts) == list("01234")
    request.page_token = "nonsense"
    answer = host.records.ListTranscriptSegments(request, metadata=host.metadata)
    assert await refusal(answer) == "PAGE_TOKEN_INVALID"


async def test_it_is_exported_in_every_form(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    code = meeting.removeprefix("meetings/")
    first, second = said(ann, "a < b --> c", after(0)), said(ann, "好", after(3_661))
    await stand.record(first, second)
    text, kind, name = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_UNSPECIFIED)
    assert text == "[00:00:00] Ann: a < b --> c\n[01:01:01] Ann: 好\n"
    assert (kind, name) == ("text/plain; charset=utf-8", f"transcript-{code}.txt")
    webvtt, kind, _ = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_WEBVTT)
    assert kind == "text/vtt; charset=utf-8"
    assert webvtt == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n<v Ann>a &lt; b --&gt; c</v>\n\n"
        "01:01:01.000 --> 01:01:03.000\n<v Ann>好</v>\n\n"
    )
    srt, _, _ = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_SRT)
    assert srt.startswith("1\n00:00:00,000 --> 00:00:02,000\nAnn: a < b → c\n\n2\n01:01:01,000")
    document, _, _ = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_JSON)
    segments = [
        json_format.ParseDict(each, transcript_pb2.TranscriptSegment())
        for each in json.loads(document)
    ]
    assert [each.name for each in segments] == [first.name, second.name]
    assert segments[1].start_time == second.start_time


async def test_a_long_one_is_exported_whole(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    for begin in range(0, 1_100, 220):
        numbers = range(begin, begin + 220)
        await stand.record(*(said(ann, str(number), after(number)) for number in numbers))
    document, _, _ = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_JSON)
    assert [each["text"] for each in json.loads(document)] == [str(n) for n in range(1_100)]
    srt, _, _ = await export(host, meeting, transcript_pb2.TRANSCRIPT_FORMAT_SRT)
    assert re.findall(r"^(\d+)$", srt, re.MULTILINE) == [str(n) for n in range(1, 1_101)]


async def test_where_nothing_is_kept_there_is_no_file(host: Person, meeting: str) -> None:
    await host.join(meeting)
    form = transcript_pb2.TRANSCRIPT_FORMAT_JSON
    assert await refusal(export(host, meeting, form)) == "TRANSCRIPT_NOT_FOUND"
    assert await host.transcript(meeting) == []


async def test_what_is_deleted_does_not_come_back(
    stand: Stand, host: Person, meeting: str, ann: str, clock: ManualClock
) -> None:
    segment = said(ann, "regretted", after(0))
    await stand.record(segment)
    clock.advance(60)
    await host.delete(meeting)
    assert await host.transcript(meeting) == []
    await stand.record(segment, said(ann, "later", after(61)))
    assert await host.transcript(meeting) == ["later"]
    while await stand.audited() != "transcript.delete":
        pass


async def test_what_is_for_the_summary_alone_is_read_by_nobody(
    stand: Stand, host: Person, meeting: str, ann: str
) -> None:
    await host.switch(meeting, transcript=False, summary=True)
    await stand.record(said(ann, "between us and the machine", after(0)))
    assert await host.transcript(meeting) == []
    form = transcript_pb2.TRANSCRIPT_FORMAT_JSON
    assert await refusal(export(host, meeting, form)) == "TRANSCRIPT_NOT_FOUND"


async def test_a_transcript_has_an_end(stand: Stand, host: Person, meeting: str, ann: str) -> None:
    await stand.record(said(ann, "first", after(0)))
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE transcripts SET segment_count = %s", (MAX_SEGMENTS - 1,))
    await stand.record(said(ann, "last", after(1)), said(ann, "too much", after(2)))
    assert await host.transcript(meeting) == ["first", "last"]
