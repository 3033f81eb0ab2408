"""Page tokens come back as they were made, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.paging import LIMIT, PageTokenInvalid, decode, encode


@given(st.lists(st.text(max_size=20), max_size=3))
def test_a_token_gives_back_its_values(values: list[str]) -> None:
    token = encode(tuple(values))
    if len(token) <= LIMIT:
        assert decode(token) == tuple(values)


@given(st.text(max_size=600))
def test_any_other_text_is_refused_and_breaks_nothing(text: str) -> None:
    try:
        assert all(isinstance(value, str) for value in decode(text))
    except PageTokenInvalid as error:
        assert error.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("token", ["W10x", "bnVsbA", "WzFd", "e30", "=", "é", "A" * 513])
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        decode(token)
