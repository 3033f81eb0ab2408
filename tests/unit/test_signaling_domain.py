"""The rules of sessions and rates, without anything around them."""

from __future__ import annotations

import pytest

from services.signaling.domain import Session, TokenBucket, meeting_of, new_session

CLAIMS = {
    "sub": "meetings/abc-defg-hij/participants/7",
    "user": "users/7",
    "display_name": "Ann",
    "role": "host",
    "grants": {"publish": ["camera"], "subscribe": True},
    "voice_activity": False,
}


def test_a_session_opens_to_its_own_secret_alone() -> None:
    session, token = new_session(CLAIMS)
    identifier, _, secret = token.partition(".")
    assert identifier == session.id
    assert session.is_opened_by(secret)
    assert not session.is_opened_by("")
    assert not session.is_opened_by(secret + "x")
    assert secret not in session.to_json(), "the secret itself is kept nowhere"


def test_a_session_comes_back_as_it_was_kept() -> None:
    session, _ = new_session(CLAIMS)
    assert Session.from_json(session.to_json()) == session
    assert session.meeting == meeting_of(session.participant) == "meetings/abc-defg-hij"


@pytest.mark.parametrize("missing", CLAIMS)
def test_a_ticket_without_a_claim_begins_no_session(missing: str) -> None:
    with pytest.raises(KeyError):
        new_session({key: value for key, value in CLAIMS.items() if key != missing})


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(100.4)
    assert bucket.take(100.6)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
