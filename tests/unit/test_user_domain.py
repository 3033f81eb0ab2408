"""The rules of accounts and sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.errors import InvalidArgument
from services.user.domain import (
    EtagMismatch,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Role,
    Session,
    User,
    hash_secret,
    parse_refresh_token,
    profile_changed,
    refresh_token,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def session() -> Session:
    return Session(uuid4(), uuid4(), hash_secret("first"), NOW, NOW, NOW + DAY)


@pytest.fixture
def user() -> User:
    return User(uuid4(), "ann", "ann@example.org", "Ann", Role.USER, NOW, NOW)


def test_a_refresh_secret_works_once(session: Session) -> None:
    rotated, second = session.rotate("first", NOW, DAY)
    with pytest.raises(RefreshTokenReused):
        rotated.rotate("first", NOW, DAY)
    rotated.rotate(second, NOW, DAY)


def test_a_session_lives_on_from_its_last_refresh(session: Session) -> None:
    rotated, second = session.rotate("first", NOW + DAY / 2, DAY)
    rotated.rotate(second, NOW + DAY, DAY)
    with pytest.raises(RefreshTokenInvalid):
        session.rotate("first", NOW + DAY, DAY)


def test_a_token_comes_apart_as_it_was_joined() -> None:
    identifier = uuid4()
    assert parse_refresh_token(refresh_token(identifier, "a.b")) == (identifier, "a.b")


@pytest.mark.parametrize("token", ["", ".", "x", "x.y", "00000000.secret", "é.é"])
def test_what_is_no_refresh_token_is_refused(token: str) -> None:
    with pytest.raises(RefreshTokenInvalid):
        parse_refresh_token(token)


def test_a_changed_profile_has_another_etag(user: User) -> None:
    changed = profile_changed(user, display_name=" Anna ", email=None, etag=user.etag, now=NOW)
    assert (changed.display_name, changed.email) == ("Anna", "ann@example.org")
    assert changed.etag != user.etag
    with pytest.raises(EtagMismatch):
        profile_changed(changed, display_name="Late", email=None, etag=user.etag, now=NOW)


def test_a_name_of_blanks_is_refused(user: User) -> None:
    with pytest.raises(InvalidArgument):
        profile_changed(user, display_name="  ", email=None, etag="", now=NOW)
