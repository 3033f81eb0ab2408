"""Who speaks, which layers are asked for, and how good a connection is said to be."""

from __future__ import annotations

import pytest

from services.media.layers import LESS_SECONDS, LayersWanted
from services.media.quality import BETTER_SECONDS, Quality, Signs, Verdict, judge
from services.media.speakers import HANG_SECONDS, Speakers


def listen(speakers: Speakers, levels: dict[str, int], begin: float, seconds: float) -> float:
    now = begin
    while now < begin + seconds:
        speakers.update(levels, now)
        now += 0.05
    return now


def test_who_is_loud_for_a_while_speaks_and_a_click_is_no_speech() -> None:
    speakers = Speakers()
    now = listen(speakers, {"ann": 20, "bob": 70}, 1.0, 0.5)
    assert speakers.speaking(now) == ["ann"]
    quiet = Speakers()
    quiet.update({"ann": 10}, 1.0)
    assert quiet.speaking(1.05) == []


def test_a_gap_between_words_is_no_end_of_speech() -> None:
    speakers = Speakers()
    now = listen(speakers, {"ann": 20}, 1.0, 0.5)
    now = listen(speakers, {"ann": 127}, now, HANG_SECONDS / 2)
    assert speakers.speaking(now) == ["ann"]
    now = listen(speakers, {"ann": 127}, now, HANG_SECONDS * 2)
    assert speakers.speaking(now) == []


def test_the_last_who_spoke_are_chosen_then_those_who_came_first() -> None:
    speakers = Speakers()
    now = listen(speakers, {"cleo": 20}, 1.0, 0.5)
    listen(speakers, {"dan": 20}, now, 0.5)
    everyone = ["ann", "bob", "cleo", "dan"]
    assert speakers.latest(everyone, 1) == {"dan"}
    assert speakers.latest(everyone, 3) == {"dan", "cleo", "ann"}
    speakers.forget("dan")
    assert speakers.latest(everyone, 1) == {"cleo"}


def test_more_layers_are_asked_for_at_once_and_fewer_after_a_while() -> None:
    layers = LayersWanted(3)
    assert not layers.update(0, 1.0)
    assert layers.rank == 2
    assert layers.update(0, 1.1 + LESS_SECONDS)
    assert layers.rank == 0
    assert layers.update(2, 1.2 + LESS_SECONDS)
    assert layers.rank == 2


def test_who_looks_away_for_a_moment_changes_nothing() -> None:
    layers = LayersWanted(3)
    layers.update(2, 1.0)
    assert not layers.update(-1, 2.0)
    assert not layers.update(2, 3.0)
    assert not layers.update(-1, 3.0 + LESS_SECONDS * 0.9)


@pytest.mark.parametrize(
    ("signs", "quality"),
    [
        (Signs(), Quality.EXCELLENT),
        (Signs(loss_down=0.05), Quality.GOOD),
        (Signs(loss_up=0.2), Quality.POOR),
        (Signs(rtt_seconds=0.5), Quality.GOOD),
        (Signs(starved=True), Quality.POOR),
        (Signs(since_check_seconds=30), Quality.LOST),
    ],
)
def test_what_people_notice_is_judged(signs: Signs, quality: Quality) -> None:
    assert judge(signs) is quality


def test_it_gets_worse_at_once_and_better_after_a_while() -> None:
    verdict, told = Verdict(), []
    for signs, now in [(Signs(loss_up=0.2), 1.0), (Signs(), 2.0), (Signs(), 1.0 + BETTER_SECONDS)]:
        told.append((verdict.update(signs, now), verdict.quality))
    assert told == [(True, Quality.POOR), (False, Quality.POOR), (True, Quality.EXCELLENT)]
