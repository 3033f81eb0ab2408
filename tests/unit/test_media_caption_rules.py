"""What is told of a track's hypotheses, and of a room's faces."""

from __future__ import annotations

from parley.ai.v1.ai_pb2 import SpeechHypothesis

from services.media.captions import Captions
from services.media.mood import Mood, Totals


def said(segment: int, start: float, end: float, *, final: bool = True) -> SpeechHypothesis:
    hypothesis = SpeechHypothesis(segment=segment, text="words", final=final)
    hypothesis.start_time.FromMicroseconds(round(start * 1e6))
    hypothesis.end_time.FromMicroseconds(round(end * 1e6))
    return hypothesis


def told(captions: Captions, hypothesis: SpeechHypothesis, now: float = 0.0) -> int:
    """Give a hypothesis; tells under which number it is told, 0: it is not."""
    found = captions.take(hypothesis, now)
    return 0 if found is None else found.segment


def test_partial_hypotheses_are_told_twice_a_second_at_most_and_finals_always() -> None:
    captions = Captions()
    partials = [told(captions, said(1, 0, 1 + at, final=False), at / 4) for at in range(5)]
    assert partials == [1, 0, 1, 0, 1]
    assert told(captions, said(1, 0, 6), 1.0) == 1
    assert told(captions, said(2, 7, 8), 1.0) == 2


def test_another_process_counts_on_from_the_last_final_and_repeats_none() -> None:
    captions = Captions()
    assert told(captions, said(1, 0, 1)) == 1
    assert told(captions, said(2, 1, 2)) == 2
    assert told(captions, said(3, 2, 2.5, final=False), 9) == 3
    captions.resume()
    assert told(captions, said(1, 1, 2)) == 0, "it was told"
    assert told(captions, said(1, 2, 2.7, final=False), 10) == 3, "in place of what was begun"
    assert told(captions, said(1, 2, 3), 10) == 3
    captions.resume()
    assert told(captions, said(1, 3, 4), 11) == 4


def test_a_recogniser_that_begins_anew_counts_on_as_well() -> None:
    captions = Captions()
    assert [told(captions, said(each, each, each + 1)) for each in (1, 2)] == [1, 2]
    captions.begin(5.0)
    assert told(captions, said(1, 5, 6, final=False), 9) == 3
    assert told(captions, said(1, 5, 6.5), 9) == 3
    assert told(captions, said(2, 7, 8), 9) == 4


def test_what_was_said_before_one_agreed_is_not_told() -> None:
    captions = Captions()
    captions.begin(10.0)
    assert told(captions, said(1, 8, 9.5)) == 0
    assert told(captions, said(1, 8, 11)) == 0, "some of it was said before"
    assert told(captions, said(2, 10, 12)) == 2


def test_a_mood_is_that_of_three_here_and_elsewhere_and_fades() -> None:
    mood = Mood()
    mood.note("ann", {"happy": 1.0}, 100.0)
    mood.note("bob", {"neutral": 1.0}, 100.0)
    assert mood.shares(100.0) is None
    mood.note_elsewhere("media-1", Totals({"happy": 2.0}, 2), 101.0)
    assert mood.shares(101.0) == Totals({"happy": 0.75, "neutral": 0.25}, 4)
    assert mood.here(101.0) == Totals({"happy": 1.0, "neutral": 1.0}, 2)
    mood.forget("bob")
    assert mood.shares(101.0) == Totals({"happy": 1.0}, 3)
    assert mood.shares(115.5) is None, "who is not seen any more does not count"
    assert mood.shares(200.0) is None
