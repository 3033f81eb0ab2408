"""What counts as the same words when recognisers are measured."""

from __future__ import annotations

import pytest

from loadtest.corpus.wording import Errors, errors, plain, total


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Press 1, or 8500.", "press one or eight five zero zero"),
        ("That colour isn't mine...", "that color is not mine"),
    ],
)
def test_spelling_numbers_and_punctuation_are_no_errors(said: str, written: str) -> None:
    assert errors(said, written, "en").rate == 0


def test_an_error_is_a_word_changed_left_out_or_added() -> None:
    found = errors("the meeting begins at noon", "a meeting begins at noon today", "en")
    assert found == Errors(substituted=1, left_out=0, added=1, said=5)
    assert found.rate == pytest.approx(0.4)


def test_words_where_nothing_was_said_are_errors() -> None:
    assert (
        total([errors("", "thank you", "en"), errors("hello there", "hello there", "en")]).rate == 1
    )


def test_chinese_is_compared_by_simplified_characters() -> None:
    assert plain("這個會議，明天開。", "zh") == "这 个 会 议 明 天 开"
    assert errors("这个会议", "這個会义", "zh") == Errors(substituted=1, said=4)
