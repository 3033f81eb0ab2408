"""Limits: each policy lets its burst through, refuses what is more in words that a client understands, and counts apart."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import httpx
import pytest
from parley.user.v1 import user_pb2, user_pb2_grpc

from tests.gateway.conftest import Client
from tests.rest import reason, sign_up
from tests.running_stack import RunningStack

NOBODY = {"username_or_email": "nobody", "password": ""}
Ask = Callable[[httpx.Client], httpx.Response]

POLICIES: dict[str, tuple[int, Ask]] = {
    "auth": (6, lambda it: it.post("/api/v1/auth/login", json=NOBODY)),
    "websocket": (4, lambda it: it.get("/ws/signaling")),
    "ai": (5, lambda it: it.get("/api/v1/ai/models")),
    "upload": (40, lambda it: it.post("/api/v1/media", params={"name": "a"}, content=b"a")),
    "api": (60, lambda it: it.get("/api/v1/users/me")),
}


def refused(answer: httpx.Response) -> bool:
    """Tell whether a limit refused it, and see that it says so as it should."""
    if answer.status_code != 429:
        return False
    assert reason(answer) == "RATE_LIMITED"
    assert answer.json()["code"] == 8
    assert int(answer.headers["retry-after"]) >= 1
    assert int(answer.headers["ratelimit-limit"]) >= 1
    assert answer.headers["ratelimit-remaining"] == "0"
    assert int(answer.headers["ratelimit-reset"]) >= 0
    return True


def asked_at_once(ask: Ask, client: httpx.Client, count: int) -> list[bool]:
    return [refused(ask(client)) for _ in range(count)]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_address_may_burst_and_is_then_refused(policy: str, visitor: Client) -> None:
    burst, ask = POLICIES[policy]
    answers = asked_at_once(ask, visitor(), burst * 4)
    assert not any(answers[:burst])
    assert any(answers)


@pytest.mark.parametrize("policy", POLICIES)
def test_addresses_are_counted_apart(policy: str, visitor: Client) -> None:
    burst, ask = POLICIES[policy]
    assert any(asked_at_once(ask, visitor(), burst * 4))
    assert not refused(ask(visitor()))


def test_one_policy_used_up_leaves_the_others(visitor: Client) -> None:
    client = visitor()
    burst, ask = POLICIES["auth"]
    assert any(asked_at_once(ask, client, burst * 4))
    assert client.get("/api/v1/users/me").status_code == 401
    assert client.get("/").status_code == 200


def test_a_user_is_counted_wherever_they_are(visitor: Client) -> None:
    ann = sign_up(visitor())
    headers = {"authorization": f"Bearer {ann.access_token}"}
    elsewhere = [visitor() for _ in range(4)]
    answers = [
        refused(client.get("/api/v1/users/me", headers=headers))
        for _ in range(60)
        for client in elsewhere
    ]
    assert not any(answers[:20])
    assert any(answers)


def test_a_users_new_token_is_the_same_user(visitor: Client) -> None:
    """What is let through again between two calls may let one through; another user's whole burst would let all."""
    ann = sign_up(visitor())
    fresh = visitor().post("/api/v1/auth/refresh", json={"refresh_token": ann.refresh_token})
    headers = {"authorization": f"Bearer {fresh.json()['access_token']}"}
    client = visitor()
    answers = []
    for _ in range(10):
        while not refused(ann.call("GET", "/api/v1/users/me")):
            pass
        answers.append(refused(client.get("/api/v1/users/me", headers=headers)))
    assert any(answers)


def test_another_user_at_the_same_address_is_not_hindered(visitor: Client) -> None:
    client = visitor()
    ann, bob = sign_up(client, "ann"), sign_up(client, "bob")
    while not refused(ann.call("GET", "/api/v1/users/me")):
        pass
    assert bob.call("GET", "/api/v1/users/me").status_code == 200


def test_what_is_left_is_told_on_every_answer(visitor: Client) -> None:
    ann = sign_up(visitor())
    left = [
        int(ann.call("GET", "/api/v1/users/me").headers["ratelimit-remaining"]) for _ in range(10)
    ]
    assert min(left) < left[0]


def test_who_waits_as_told_is_served_again(visitor: Client) -> None:
    burst, ask = POLICIES["auth"]
    client = visitor()
    assert any(asked_at_once(ask, client, burst * 4))
    for _ in range(60):
        if not refused(ask(client)):
            return
        time.sleep(0.2)
    raise AssertionError("never served again")


async def test_grpc_is_told_in_its_own_words(edge: RunningStack) -> None:
    async with grpc.aio.insecure_channel(
        edge.grpc_target.replace("127.0.0.1", "127.0.0.1")
    ) as channel:
        stub = user_pb2_grpc.AuthServiceStub(channel)
        codes = []
        for _ in range(24):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stub.Login(user_pb2.LoginRequest(**NOBODY))
            codes.append(failed.value.code())
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
    assert set(codes) <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
