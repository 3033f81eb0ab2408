"""Following which sessions have ended."""

from __future__ import annotations

import asyncio

from chassis.errors import Unavailable
from chassis.paging import PageTokenInvalid
from chassis.revocations import EndedSession, EndedSessions, News
from chassis.stopping import stop


def test_ended_sessions_are_forgotten_when_their_tokens_have_expired() -> None:
    ended = EndedSessions()
    ended.add(EndedSession("first", 10.0))
    ended.add(EndedSession("second", 20.0))
    ended.prune(10.0)
    assert "first" not in ended
    assert "second" in ended


def test_there_is_a_bound_to_what_is_remembered() -> None:
    ended = EndedSessions(limit=2)
    for name in ("a", "b", "c"):
        ended.add(EndedSession(name, 10.0))
    assert [name in ended for name in ("a", "b", "c")] == [False, True, True]


async def test_it_goes_on_from_where_it_was_and_begins_anew_where_its_token_is_unknown() -> None:
    far = 1e12
    asked: list[str] = []
    answers: list[News | Exception] = [
        News([EndedSession("a", far)], "1", more=True),
        News([EndedSession("b", far)], "2"),
        Unavailable(),
        PageTokenInvalid(),
        News([EndedSession("c", far)], "3"),
    ]
    done = asyncio.Event()

    async def source(token: str) -> News:
        asked.append(token)
        if len(asked) > len(answers):
            done.set()
            return News([], "end")
        if isinstance(answer := answers[len(asked) - 1], Exception):
            raise answer
        return answer

    ended = EndedSessions(interval_seconds=0.0)
    following = asyncio.create_task(ended.follow(source))
    await done.wait()
    await stop(following)
    assert asked[:6] == ["", "1", "2", "2", "", "3"]
    assert all(name in ended for name in "abc")
