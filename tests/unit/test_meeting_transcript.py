"""What was said, as files that players and programs read, whatever was said."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, timedelta
from uuid import UUID, uuid4

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from parley.meeting.v1 import transcript_pb2

from services.meeting.domain import (
    MeetingState,
    Participant,
    ParticipantRole,
    ParticipantState,
    TranscriptOff,
)
from services.meeting.settings import Consent, Settings
from services.meeting.transcripts import transcript
from services.meeting.transcripts.transcript import (
    AFTERWARDS,
    Entry,
    Form,
    Segment,
    agreed,
    began,
    is_held,
    one_line,
)
from tests.meetings import NOW, a_meeting

MEETING = a_meeting(settings=Settings(captions=True, transcript=True))
TIME = re.compile(r"(\d{2,}):(\d\d):(\d\d)[.,](\d{3})")


def segment(
    text: str, *, name: str = "Ann", begin: float = 0, end: float = 1, speaker: UUID | None = None
) -> Segment:
    return Segment(
        id=uuid4(),
        meeting=MEETING.name,
        participant_id=speaker or uuid4(),
        display_name=name,
        text=text,
        language_code="en",
        start_time=NOW + timedelta(seconds=begin),
        end_time=NOW + timedelta(seconds=end),
        confidence=0.5,
    )


def file(form: Form, segments: list[Segment]) -> str:
    entries = [form.entry(Entry.of(n, each, NOW)) for n, each in enumerate(segments, 1)]
    return form.head + form.between.join(entries) + form.tail


pieces = st.text(max_size=10) | st.sampled_from(["-->", "<v Bob>", "</v>", "&lt;", "\n\n", "\r"])
texts = st.lists(pieces, max_size=5).map("".join)
said = st.builds(
    segment,
    texts,
    name=texts,
    begin=st.floats(0, 400_000),
    end=st.floats(0, 400_000),
)
hostile = st.lists(said, min_size=1, max_size=5)


def seconds(text: str) -> float:
    hours, minutes, whole, milliseconds = map(int, TIME.fullmatch(text).groups())  # type: ignore[union-attr]  # it does
    return hours * 3600 + minutes * 60 + whole + milliseconds / 1000


@given(hostile)
def test_webvtt_has_one_cue_a_segment_and_says_what_was_said(segments: list[Segment]) -> None:
    head, *cues, tail = file(transcript.WEBVTT, segments).split("\n\n")
    assert (head, tail) == ("WEBVTT", "")
    assert len(cues) == len(segments)
    for cue, each in zip(cues, segments, strict=True):
        times, payload = cue.split("\n")
        begin, end = times.split(" --> ")
        assert seconds(begin) < seconds(end)
        name, text = re.fullmatch(r"<v ([^<>]*)>([^<>]*)</v>", payload).groups()  # type: ignore[union-attr]  # it does
        assert unescaped(name) == one_line(each.display_name)
        assert unescaped(text) == one_line(each.text)


def unescaped(text: str) -> str:
    assert not re.search("&(?!(amp|lt|gt);)", text)
    for name in ("lt", "gt", "amp"):
        text = text.replace(f"&{name};", html.unescape(f"&{name};"))
    return text


@given(hostile)
def test_srt_has_numbered_blocks_and_no_line_of_times_but_its_own(segments: list[Segment]) -> None:
    *blocks, tail = file(transcript.SRT, segments).split("\n\n")
    assert tail == ""
    for number, (block, each) in enumerate(zip(blocks, segments, strict=True), 1):
        counted, times, text = block.split("\n")
        assert counted == str(number)
        begin, end = times.split(" --> ")
        assert seconds(begin) < seconds(end)
        line = f"{one_line(each.display_name)}: {one_line(each.text)}"
        assert text == line.replace("-->", "→")


@given(hostile)
def test_text_has_one_line_a_segment(segments: list[Segment]) -> None:
    lines = file(transcript.TEXT, segments).splitlines()
    assert len(lines) == len(segments)
    assert all(re.match(r"\[\d{2,}:\d\d:\d\d\] ", line) for line in lines)


@given(hostile)
def test_json_is_what_the_contract_has(segments: list[Segment]) -> None:
    shown = json.loads(file(transcript.JSON, segments))
    for values, each in zip(shown, segments, strict=True):
        read = json_format.ParseDict(values, transcript_pb2.TranscriptSegment())
        assert (read.name, read.participant) == (each.name, each.participant)
        assert (read.text, read.display_name) == (each.text, each.display_name)
        assert read.start_time.ToDatetime(UTC) == each.start_time
        assert read.end_time.ToDatetime(UTC) == each.end_time


def test_times_count_from_the_beginning_of_the_meeting_or_from_words_before_it() -> None:
    assert began(MEETING, NOW + timedelta(seconds=5)) == NOW
    assert began(MEETING, NOW - timedelta(seconds=5)) == NOW - timedelta(seconds=5)
    assert began(replace(MEETING, start_time=None), NOW) == NOW


def test_more_than_a_hundred_hours_are_told() -> None:
    late = segment("still here", begin=360_000, end=360_001)
    assert file(transcript.SRT, [late]).startswith("1\n100:00:00,000 --> 100:00:01,000\n")


@given(st.text())
def test_a_line_is_one_line_and_controls_nothing(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        (Settings(captions=True, transcript=True), False),
        (Settings(captions=True, transcript=True, summary=True), False),
        (Settings(captions=True, summary=True), True),
    ],
)
def test_what_is_for_the_summary_alone_is_held(settings: Settings, held: bool) -> None:
    assert is_held(replace(MEETING, settings=settings), NOW) == held


@pytest.mark.parametrize(
    "values",
    [
        {"settings": Settings(captions=True)},
        {"end_to_end_encrypted": True},
        {"state": MeetingState.ENDED, "end_time": NOW - AFTERWARDS - timedelta(seconds=1)},
    ],
)
def test_nothing_is_kept_where_it_is_not_wanted_or_over(values: dict[str, object]) -> None:
    with pytest.raises(TranscriptOff):
        is_held(replace(MEETING, **values), NOW)  # type: ignore[arg-type]  # replace() takes any field


def test_the_last_words_come_after_the_end() -> None:
    over = replace(MEETING, state=MeetingState.ENDED, end_time=NOW - AFTERWARDS)
    assert not is_held(over, NOW)


def test_nobodys_words_without_their_consent() -> None:
    yes, no = speaker(transcript=True), speaker(captions_declined=False)
    spoken = [
        segment("hers", speaker=yes.id),
        segment("his", speaker=no.id),
        segment("whose?"),
        segment(" \n", speaker=yes.id),
    ]
    (kept,) = agreed(spoken, {yes.id: yes, no.id: no}, held=True)
    assert (kept.text, kept.display_name, kept.held) == ("hers", "Bob", True)


def speaker(**consent: bool) -> Participant:
    return Participant(
        id=uuid4(),
        meeting_id=MEETING.id,
        meeting_code=MEETING.code,
        user_id=uuid4(),
        display_name="Bob",
        role=ParticipantRole.PARTICIPANT,
        state=ParticipantState.CONNECTED,
        join_time=NOW,
        consent=Consent(**consent),
    )
