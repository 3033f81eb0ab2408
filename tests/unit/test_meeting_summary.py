"""What is taken of ai's answer, what ai is asked about, and when it is asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from parley.ai.v1 import ai_pb2

from services.meeting.transcripts import summary
from services.meeting.transcripts.recap import summary_from
from services.meeting.transcripts.summary import Summary, chosen, delay, summary_of
from services.meeting.transcripts.transcript import Segment

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def segment(number: int, text: str = "x") -> Segment:
    begin = NOW + timedelta(seconds=number)
    return Segment(uuid4(), "meetings/abc-defg-hij", uuid4(), "Ann", text, "en", begin, begin, 1.0)


SAID = [segment(number) for number in range(4)]

points = st.lists(
    st.builds(
        ai_pb2.TextPoint,
        text=st.text(max_size=20),
        line_ids=st.lists(st.sampled_from(["0", "1", "2", "3", "4", "-1", "", "first"])),
        assignee=st.text(max_size=5),
        due=st.text(max_size=5),
    ),
    max_size=4,
)
answers = st.builds(
    ai_pb2.SummarizeTextResponse,
    overview=st.text(max_size=20),
    topics=points,
    decisions=points,
    action_items=points,
    model=st.just("stand@1"),
)


@given(answers)
def test_every_point_rests_on_what_was_said_whatever_ai_answers(
    answer: ai_pb2.SummarizeTextResponse,
) -> None:
    found = summary_from(answer, SAID, NOW)
    assert found.cites <= {each.id for each in SAID}
    times = {each.id: (each.start_time - NOW).total_seconds() for each in SAID}
    for point in found.points:
        assert point.text
        assert point.cites
        assert point.offset_seconds == min(times[each] for each in point.cites)
        assert "\0" not in point.text + point.assignee + point.due  # which Postgres can't keep


@given(answers)
def test_a_summary_is_read_as_it_was_kept(answer: ai_pb2.SummarizeTextResponse) -> None:
    found = summary_from(answer, SAID, NOW)
    assert summary_of(found.stored()) == found


def test_points_are_told_in_order_of_time_and_each_once() -> None:
    answer = ai_pb2.SummarizeTextResponse()
    answer.topics.add(text="last", line_ids=["3"])
    answer.topics.add(text="twice", line_ids=["2"])
    answer.decisions.add(text="twice", line_ids=["1"])
    answer.action_items.add(text="first", line_ids=["0"])
    found = summary_from(answer, SAID, NOW).in_order()
    assert [(each.text, each.offset_seconds) for each in found] == [
        ("first", 0),
        ("twice", 1),
        ("last", 3),
    ]


def test_words_before_the_meeting_began_have_no_offset_below_nought() -> None:
    answer = ai_pb2.SummarizeTextResponse()
    answer.topics.add(text="early", line_ids=["0"])
    early = [replace(SAID[0], start_time=NOW - timedelta(seconds=9))]
    assert summary_from(answer, early, NOW).topics[0].offset_seconds == 0


def test_of_too_much_the_shortest_lines_are_left_out() -> None:
    long, short = "好" * 4_000, "yes"
    fits = summary.MAX_BYTES // (3 * 4_000 + 100)
    said = [segment(number, short if number % 2 else long) for number in range(2 * fits)]
    assert chosen(said[:100]) == said[:100]
    taken = chosen(said)
    assert [each for each in taken if each.text == long] == said[::2]
    assert taken == sorted(taken, key=lambda each: each.start_time)
    more = [segment(number, long) for number in range(2 * fits)]
    request = ai_pb2.SummarizeTextRequest(
        lines=[
            ai_pb2.TextLine(id=str(n), speaker=each.display_name, text=each.text)
            for n, each in enumerate(chosen(more))
        ]
    )
    assert summary.MAX_BYTES * 0.9 < request.ByteSize() <= summary.MAX_BYTES


def test_it_is_tried_again_ever_later_and_for_a_day() -> None:
    delays = [delay(attempt) for attempt in range(1, 2_000)]
    assert delays[0] == summary.FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == summary.LONGEST_DELAY


def test_nothing_said_is_no_line() -> None:
    assert chosen([]) == []
    assert Summary("", (), (), (), "").in_order() == []
