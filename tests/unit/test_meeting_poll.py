"""The rules of polls: whatever is answered and closed in whatever order, the counts are those of the answers that stand."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meeting.domain import (
    MeetingState,
    NotPresenter,
    Participant,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.room.poll import (
    MAX_POLLS,
    Poll,
    PollChoiceInvalid,
    PollClosed,
    TooManyPolls,
    Vote,
    check_count,
)
from tests.meetings import NOW, a_meeting

HOST, BOB = UUID(int=1), UUID(int=2)
VOTERS = [UUID(int=number) for number in range(10, 14)]
LATER = NOW + timedelta(minutes=1)


def a_poll(*, multiple: bool = False, creator: UUID = HOST) -> Poll:
    return Poll(
        id=UUID(int=9),
        meeting_code="abc-defg-hij",
        question="Now?",
        choices=("Yes", "No", "Later"),
        multiple=multiple,
        anonymous=False,
        live_results=False,
        creator_id=creator,
        creator_user_id=creator,
        create_time=NOW,
        counts=(0, 0, 0),
    )


def somebody(user: UUID) -> Participant:
    role, state = ParticipantRole.PARTICIPANT, ParticipantState.CONNECTED
    return Participant(user, UUID(int=7), "abc-defg-hij", user, "Ann", role, state, NOW)


answers = st.tuples(st.sampled_from(VOTERS), st.sets(st.integers(0, 3), max_size=4))
closings = st.just(None)


@given(st.booleans(), st.lists(answers | closings, max_size=30))
def test_counts_are_those_of_the_answers_that_stand(
    multiple: bool, happenings: list[tuple[UUID, set[int]] | None]
) -> None:
    poll, votes = a_poll(multiple=multiple), dict[UUID, Vote]()
    result: Poll | None = None
    for happening in happenings:
        if happening is None:
            poll = poll.closed(HOST, LATER, presents=False)
            result = result or poll
            continue
        user, choices = happening
        try:
            poll, vote = poll.answered(somebody(user), choices, votes.pop(user, None))
        except PollClosed:
            assert not poll.is_open
            break
        except PollChoiceInvalid:
            assert 3 in choices or (len(choices) > 1 and not multiple)
            break
        if vote is not None:
            votes[user] = vote
        tally = Counter(choice for each in votes.values() for choice in each.choices)
        assert poll.counts == tuple(tally[at] for at in range(3))
        assert poll.voter_count == len(votes)
        assert multiple or sum(poll.counts) == poll.voter_count
    if result is not None:
        assert poll == result  # what is closed stays as it is


def test_who_presents_or_whoever_asked_closes_it_once() -> None:
    poll = a_poll(creator=BOB)
    with pytest.raises(NotPresenter):
        poll.closed(VOTERS[0], LATER, presents=False)
    assert poll.closed(HOST, LATER, presents=True).close_time == LATER
    closed = poll.closed(BOB, LATER, presents=False)
    assert closed.closed(BOB, LATER + timedelta(1), presents=False) is closed
    assert (poll.shows_counts, closed.shows_counts) == (False, True)


def test_a_meeting_that_is_over_has_no_open_polls() -> None:
    for state in (MeetingState.ENDED, MeetingState.CANCELLED):
        over = a_meeting(state=state, end_time=LATER)
        assert a_poll().as_of(over).close_time == LATER
    assert a_poll().as_of(a_meeting()).is_open


def test_nobody_asks_without_end() -> None:
    check_count(MAX_POLLS - 1)
    with pytest.raises(TooManyPolls):
        check_count(MAX_POLLS)
