"""Providers as operators write them, and the state of a sign-in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.user.sessions.providers import (
    STATE_LIFETIME,
    Claims,
    IdentityProviderNotFound,
    Provider,
    SignInInvalid,
    begin,
    key_id_of,
    parse_providers,
    provider_named,
    read_claims,
    resume,
    usernames,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = Provider("acme", "Acme", "https://id.acme.example", "parley")
SECRET = b"s" * 32


def test_a_state_leads_back_to_what_was_begun_and_to_nothing_else() -> None:
    begun = begin(SECRET, "k1", ACME, NOON)
    assert key_id_of(begun.state) == "k1"
    assert len(begun.state) <= 256
    assert len(begun.verifier) == 43, "RFC 7636 §4.1"
    assert resume(SECRET, ACME, begun.state, NOON + STATE_LIFETIME) == begun
    other = begin(SECRET, "k1", ACME, NOON)
    assert len({begun.state, begun.nonce, begun.verifier, other.nonce, other.verifier}) == 5


@pytest.mark.parametrize("seconds", [1, 86_400])
def test_an_old_state_is_refused(seconds: int) -> None:
    state = begin(SECRET, "k1", ACME, NOON).state
    with pytest.raises(SignInInvalid):
        resume(SECRET, ACME, state, NOON + STATE_LIFETIME + timedelta(seconds=seconds))


def test_a_state_of_another_provider_or_secret_is_refused() -> None:
    state = begin(SECRET, "k1", ACME, NOON).state
    for secret, provider in ((b"t" * 32, ACME), (SECRET, replace(ACME, id="other"))):
        with pytest.raises(SignInInvalid):
            resume(secret, provider, state, NOON)


@given(st.text(max_size=256))
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(SignInInvalid):
        resume(SECRET, ACME, text, NOON)


def test_a_state_that_was_made_to_last_longer_is_refused() -> None:
    kid, until, rest = begin(SECRET, "k1", ACME, NOON).state.split(".", 2)
    with pytest.raises(SignInInvalid):
        resume(SECRET, ACME, f"{kid}.{int(until) + 60}.{rest}", NOON)


def written(**fields: Any) -> str:
    whole = {"id": "acme", "display_name": "Acme", "issuer": "https://a.example", "client_id": "p"}
    return json.dumps([{**whole, **fields}])


def test_providers_keep_the_operator_s_order() -> None:
    found = parse_providers(
        json.dumps([*json.loads(written(id="b")), *json.loads(written(id="a"))])
    )
    assert [provider.id for provider in found] == ["b", "a"]
    assert provider_named(found, "identityProviders/a").id == "a"
    with pytest.raises(IdentityProviderNotFound):
        provider_named(found, "identityProviders/c")
    assert parse_providers("") == ()


@pytest.mark.parametrize(
    "text",
    [
        written(id="Acme"),
        written(issuer="http://a.example"),
        written(issuer="https://a.example?x=1"),
        written(issuer="ftp://127.0.0.1"),
        written(issuer="https://"),
        written(client_id=""),
        written(scopes="email"),
        written(colour="red"),
        "[{}]",
        "{",
        json.dumps(json.loads(written()) * 2),
    ],
)
def test_what_can_t_work_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_providers(text)


@pytest.mark.parametrize(
    ("said", "claims"),
    [
        ({"sub": "1"}, Claims("1")),
        (
            {"sub": "1", "email": "A@B.example", "email_verified": True, "name": " Ann  B "},
            Claims("1", "a@b.example", email_verified=True, display_name="Ann B"),
        ),
        ({"sub": "1", "email": "a@b", "email_verified": "true"}, Claims("1", "a@b", True)),
        ({"sub": "1", "email": "a@b", "email_verified": 1.5}, Claims("1", "a@b")),
        ({"sub": "1", "email_verified": True}, Claims("1")),
        ({"sub": "1", "email": "no address", "email_verified": True}, Claims("1")),
        ({"sub": "1", "email": ["a@b"], "name": 7}, Claims("1")),
    ],
)
def test_claims_are_read_strictly(said: dict[str, Any], claims: Claims) -> None:
    assert read_claims(said) == claims


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 256])
def test_a_subject_is_needed(subject: object) -> None:
    with pytest.raises(SignInInvalid):
        read_claims({"sub": subject})


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_proposed_username_is_one(name: str, username: str) -> None:
    for proposed in usernames(Claims("1", "", display_name=name, username=username)):
        assert 3 <= len(proposed) <= 32
        assert proposed[0].isalnum()
        assert set(proposed) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-")
