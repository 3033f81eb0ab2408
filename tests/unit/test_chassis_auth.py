"""Tokens: only what a trusted key signed, for this audience, and not yet expired, is believed."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.auth import (
    MESH_AUDIENCE,
    ServiceIdentity,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    Trust,
    UserTokenVerifier,
    parse_jwks,
)
from chassis.errors import Unavailable

MINUTE = timedelta(minutes=1)


def jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    public: dict[str, Any] = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "alg": "EdDSA", "use": "sig"}


def trust_of(**keys: Ed25519PrivateKey) -> Trust:
    return Trust(parse_jwks(json.dumps({"keys": [jwk(key, kid) for kid, key in keys.items()]})))


@pytest.fixture
def meeting_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def trust(meeting_key: Ed25519PrivateKey) -> Trust:
    return trust_of(meeting=meeting_key, media=Ed25519PrivateKey.generate())


@pytest.fixture
def meeting(meeting_key: Ed25519PrivateKey, trust: Trust) -> ServiceIdentity:
    return ServiceIdentity("meeting", meeting_key, trust)


def test_a_service_token_names_its_service(meeting: ServiceIdentity, trust: Trust) -> None:
    assert trust.verify(meeting.service_token(), MESH_AUDIENCE)["iss"] == "services/meeting"


def test_a_token_for_another_audience_is_refused(meeting: ServiceIdentity, trust: Trust) -> None:
    with pytest.raises(TokenInvalid):
        trust.verify(meeting.sign({"sub": "x"}, "parley-signaling", MINUTE), MESH_AUDIENCE)


def test_a_token_of_another_service_than_the_one_asked_for_is_refused(
    meeting: ServiceIdentity, trust: Trust
) -> None:
    token = meeting.sign({"sub": "x"}, "parley-signaling", MINUTE)
    with pytest.raises(TokenInvalid):
        trust.verify(token, "parley-signaling", issuer="services/media")


def test_a_service_cannot_speak_in_anothers_name(
    meeting_key: Ed25519PrivateKey, trust: Trust
) -> None:
    claims = {"iss": "services/media", "sub": "x", "aud": MESH_AUDIENCE, "exp": time.time() + 60}
    forged = jwt.encode(claims, meeting_key, "EdDSA", headers={"kid": "meeting"})
    with pytest.raises(TokenInvalid):
        trust.verify(forged, MESH_AUDIENCE)


def test_a_token_of_an_unknown_key_is_refused(trust: Trust) -> None:
    stranger = ServiceIdentity("meeting", Ed25519PrivateKey.generate(), trust)
    with pytest.raises(TokenInvalid):
        trust.verify(stranger.service_token(), MESH_AUDIENCE)


def test_an_unsigned_token_is_refused(trust: Trust) -> None:
    claims = {"iss": "services/meeting", "sub": "x", "aud": MESH_AUDIENCE, "exp": time.time() + 60}
    unsigned = jwt.encode(claims, "", "none", headers={"kid": "meeting"})
    with pytest.raises(TokenInvalid):
        trust.verify(unsigned, MESH_AUDIENCE)


def test_an_expired_token_says_so_even_if_it_was_good_before(
    meeting: ServiceIdentity, trust: Trust
) -> None:
    with pytest.raises(TokenExpired):
        trust.verify(meeting.sign({"sub": "x"}, MESH_AUDIENCE, -MINUTE), MESH_AUDIENCE)


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "é" * 50, "A" * 100_000, "eyJhbGciOiJFZERTQSJ9.."]
)
def test_nonsense_is_refused(token: str, trust: Trust) -> None:
    with pytest.raises(TokenInvalid):
        trust.verify(token, MESH_AUDIENCE)


class TestUserTokens:
    @pytest.fixture
    def key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.generate()

    def token(self, key: Ed25519PrivateKey, kid: str = "k1", **changed: Any) -> str:
        claims = {
            "iss": "parley",
            "aud": "parley",
            "sub": "users/7",
            "sid": "s",
            "role": "user",
            "exp": time.time() + 60,
        }
        return jwt.encode({**claims, **changed}, key, "EdDSA", headers={"kid": kid})

    async def test_a_good_token_gives_the_user(self, key: Ed25519PrivateKey) -> None:
        async def fetch() -> dict[str, jwt.PyJWK]:
            return parse_jwks(json.dumps({"keys": [jwk(key, "k1")]}))

        user = await UserTokenVerifier(fetch).verify(self.token(key))
        assert (user.name, user.session_id, user.role) == ("users/7", "s", "user")

    async def test_made_up_key_ids_do_not_make_it_fetch_again(self, key: Ed25519PrivateKey) -> None:
        fetched = []

        async def fetch() -> dict[str, jwt.PyJWK]:
            fetched.append(1)
            return parse_jwks(json.dumps({"keys": [jwk(key, "k1")]}))

        verifier = UserTokenVerifier(fetch)
        for number in range(5):
            with pytest.raises(TokenInvalid):
                await verifier.verify(self.token(key, kid=f"made-up-{number}"))
        assert len(fetched) == 1

    async def test_keys_that_cannot_be_had_are_unavailable_and_asked_for_again(
        self, key: Ed25519PrivateKey
    ) -> None:
        away = True

        async def fetch() -> dict[str, jwt.PyJWK]:
            if away:
                raise Unavailable
            return parse_jwks(json.dumps({"keys": [jwk(key, "k1")]}))

        verifier = UserTokenVerifier(fetch)
        with pytest.raises(Unavailable):
            await verifier.verify(self.token(key))
        away = False
        assert (await verifier.verify(self.token(key))).user_id == "7"

    async def test_the_token_of_a_session_that_ends_is_refused_though_it_was_good(
        self, key: Ed25519PrivateKey
    ) -> None:
        async def fetch() -> dict[str, jwt.PyJWK]:
            return parse_jwks(json.dumps({"keys": [jwk(key, "k1")]}))

        ended: set[str] = set()
        verifier, token = UserTokenVerifier(fetch, ended=ended), self.token(key)
        await verifier.verify(token)
        ended.add("s")
        with pytest.raises(SessionEnded):
            await verifier.verify(token)
        await verifier.verify(self.token(key, sid="another"))

    async def test_a_service_is_no_user(self, key: Ed25519PrivateKey) -> None:
        async def fetch() -> dict[str, jwt.PyJWK]:
            return parse_jwks(json.dumps({"keys": [jwk(key, "k1")]}))

        with pytest.raises(TokenInvalid):
            await UserTokenVerifier(fetch).verify(self.token(key, sub="services/media"))
