"""Polls over real gRPC on real Postgres: who asks and answers, what is shown to whom, and races."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest
from parley.meeting.v1 import poll_pb2

from chassis import channels, db
from services.meeting.app import MIGRATIONS
from services.meeting.room.poll import MAX_POLLS
from tests.conftest import DatabaseFactory
from tests.meeting_stand import refusal
from tests.room_stand import Room, Somebody, a_room, retention_of


@pytest.fixture
async def room(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(database, tmp_path) as it:
        yield it


@pytest.fixture
async def ann(room: Room) -> Somebody:
    return await room.comes("Ann")


@pytest.fixture
async def bob(room: Room) -> Somebody:
    return await room.comes("Bob")


def counts(poll: poll_pb2.Poll) -> list[int]:
    return [choice.vote_count for choice in poll.choices]


def voters(poll: poll_pb2.Poll) -> list[list[str]]:
    return [list(choice.voters) for choice in poll.choices]


def kept_votes(room: Room) -> int:
    with psycopg.connect(room.stand.database_url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM poll_votes").fetchone()
    assert row is not None
    return int(row[0])


async def test_counts_are_hidden_until_it_is_closed(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    poll = (await room.host.ask(" Lunch\n now? ", "Yes", "No")).name
    shown = await ann.answer(poll, 0)
    assert (counts(shown), shown.voter_count, list(shown.own_choices)) == ([0, 0], 1, [0])
    await bob.answer(poll, 0)
    changed = await bob.answer(poll, 1)
    assert (changed.voter_count, list(changed.own_choices)) == (2, [1])
    assert counts(await room.host.sees(poll)) == [0, 0]
    assert voters(await room.host.sees(poll)) == [[], []]
    assert await refusal(bob.close(poll)) == "NOT_PRESENTER"
    closed = await room.host.close(poll)
    assert closed == await room.host.close(poll)
    assert (closed.question, closed.state) == ("Lunch now?", poll_pb2.POLL_STATE_CLOSED)
    assert voters(closed) == [[ann.participant], [bob.participant]]
    for each in (ann, bob):
        seen = await each.sees(poll)
        assert (counts(seen), voters(seen)) == ([1, 1], [[], []])
    assert await refusal(ann.answer(poll, 1)) == "POLL_CLOSED"
    told = await room.hears("poll_changed", lambda told: len(told) == 5)
    polls = [each.message.poll_changed.poll for each in told]
    assert [counts(each) for each in polls] == [[0, 0]] * 4 + [[1, 1]]
    assert [each.voter_count for each in polls] == [0, 1, 2, 2, 2]
    assert not any(list(each.own_choices) or any(voters(each)) for each in polls)


async def test_live_results_are_shown_while_it_is_open(room: Room, ann: Somebody) -> None:
    poll = (await room.host.ask("Which?", "A", "B", "C", multiple=True, live_results=True)).name
    assert counts(await ann.answer(poll, 2, 0)) == [1, 0, 1]
    assert voters(await room.host.sees(poll)) == [[ann.participant], [], [ann.participant]]
    taken_back = await ann.answer(poll)
    assert (counts(taken_back), taken_back.voter_count) == ([0, 0, 0], 0)


async def test_nobody_learns_who_chose_what_in_an_anonymous_poll(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    poll = (await room.host.ask("Well?", "Yes", "No", anonymous=True, live_results=True)).name
    await ann.answer(poll, 0)
    await bob.answer(poll, 1)
    assert voters(await room.host.sees(poll)) == [[], []]
    closed = await room.host.close(poll)
    assert (counts(closed), voters(closed)) == ([1, 1], [[], []])
    assert kept_votes(room) == 0


async def test_the_end_of_the_meeting_closes_polls_and_forgets_who_answered(
    room: Room, ann: Somebody
) -> None:
    secret = (await room.host.ask("Well?", "Yes", "No", anonymous=True)).name
    named = (await room.host.ask("And?", "Yes", "No")).name
    for each in (secret, named):
        await ann.answer(each, 1)
    await room.host.person.end(room.meeting)
    seen = await ann.sees(secret)
    assert (seen.state, counts(seen)) == (poll_pb2.POLL_STATE_CLOSED, [0, 1])
    assert await refusal(ann.answer(secret, 0)) == "POLL_CLOSED"
    assert await refusal(room.host.ask("More?", "Yes", "No")) == "MEETING_ENDED"
    async with db.connected(room.stand.database_url, MIGRATIONS) as database:
        await retention_of(database, room).sweep()
    assert kept_votes(room) == 1
    assert voters(await room.host.sees(named)) == [[], [ann.participant]]


async def test_an_account_has_one_answer_from_two_devices(room: Room, ann: Somebody) -> None:
    poll = (await room.host.ask("Now?", "Yes", "No", live_results=True)).name
    await ann.answer(poll, 0)
    again = await room.comes("Ann's phone", ann.person)
    assert counts(await again.answer(poll, 1)) == [0, 1]


async def test_what_is_refused(room: Room, ann: Somebody) -> None:
    assert await refusal(ann.ask("May I?", "Yes", "No")) == "NOT_PRESENTER"
    assert await refusal(room.host.ask("Lone", "Yes")) == "INVALID_ARGUMENT"
    assert await refusal(room.host.ask("\0", "Yes", "No")) == "INVALID_ARGUMENT"
    assert await refusal(room.host.ask("Empty", "Yes", " \0")) == "INVALID_ARGUMENT"
    poll = (await room.host.ask("Now?", "Yes", "No")).name
    assert await refusal(ann.answer(poll, 2)) == "POLL_CHOICE_INVALID"
    assert await refusal(ann.answer(poll, 0, 1)) == "POLL_CHOICE_INVALID"
    assert await refusal(ann.answer(poll, -1)) == "INVALID_ARGUMENT"
    stranger = Somebody(room.stand.person(), "", room.meeting)
    assert await refusal(stranger.answer(poll, 0)) == "NOT_PARTICIPANT"
    assert await refusal(stranger.sees(poll)) == "NOT_PARTICIPANT"
    await ann.leave()
    assert await refusal(ann.answer(poll, 0)) == "NOT_PARTICIPANT"
    for wrong in (f"{room.meeting}/polls/{uuid4()}", f"{room.meeting}/polls/{'-' * 36}"):
        for call in (room.host.sees(wrong), room.host.answer(wrong, 0), room.host.close(wrong)):
            assert await refusal(call) == "POLL_NOT_FOUND"


async def test_a_repeated_request_asks_once_and_pages_are_stable(room: Room) -> None:
    request_id = str(uuid4())
    answers = await asyncio.gather(
        *(room.host.ask("Once?", "Yes", "No", request_id=request_id) for _ in range(5))
    )
    assert len({each.name for each in answers}) == 1
    for number in range(4):
        await room.host.ask(str(number), "Yes", "No")
    request = poll_pb2.ListPollsRequest(parent=room.meeting, page_size=2)
    questions: list[str] = []
    while True:
        page = await room.host.polls.ListPolls(request, metadata=room.host.metadata)
        questions += [each.question for each in page.polls]
        if not page.next_page_token:
            break
        await room.host.ask("late", "Yes", "No")
        request.page_token = page.next_page_token
    assert questions == ["3", "2", "1", "0", "Once?"]
    with psycopg.connect(room.stand.database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE polls SET position = position + %s", (MAX_POLLS,))
    assert await refusal(room.host.ask("more", "Yes", "No")) == "TOO_MANY_POLLS"


async def test_votes_and_closing_race_to_a_result_that_stands(room: Room) -> None:
    people = [await room.comes(f"Person {number}") for number in range(8)]
    poll = (await room.host.ask("Now?", "Yes", "No", multiple=True)).name

    async def vote(each: Somebody, choices: Iterable[int]) -> bool:
        try:
            await each.answer(poll, *choices)
        except grpc.aio.AioRpcError as error:
            assert channels.reason(error) == "POLL_CLOSED"
            return False
        return True

    first = await asyncio.gather(*(vote(each, [0]) for each in people[:4]))
    closing = asyncio.create_task(room.host.close(poll))
    second = await asyncio.gather(*(vote(each, [0, 1]) for each in people[4:]))
    await closing
    result = await room.host.sees(poll)
    assert all(first)
    assert counts(result) == [4 + sum(second), sum(second)]
    assert result.voter_count == 4 + sum(second)
    assert [len(each) for each in voters(result)] == counts(result)
    (*_, last) = await room.hears(
        "poll_changed",
        lambda told: (
            told[-1].message.poll_changed.poll.state == poll_pb2.POLL_STATE_CLOSED
            if told
            else False
        ),
    )
    assert counts(last.message.poll_changed.poll) == counts(result)
