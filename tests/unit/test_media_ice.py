"""ICE-lite: who may be believed, where traffic goes, and restarts."""

from __future__ import annotations

import contextlib

import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media.ice import (
    MAX_ADDRESSES,
    CheckInvalid,
    Credentials,
    IceCaller,
    IceLite,
    new_credentials,
    read_check,
    seen_as,
)

HOME, ELSEWHERE = ("192.0.2.1", 5000), ("192.0.2.2", 6000)


def check(credentials: Credentials, *, nominate: bool = False, password: str = "") -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{credentials.ufrag}:them"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity((password or credentials.password).encode())
    return bytes(message)


def test_a_check_is_answered_with_the_address_that_it_came_from() -> None:
    ice = IceLite()
    answer = ice.answer(read_check(check(ice.local)), HOME, 1.0)
    message = stun.parse_message(answer)
    assert message.check_message_integrity(ice.local.password.encode())
    assert message.message_class == stun.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == HOME
    assert (ice.address, ice.last_check) == (HOME, 1.0)


def test_traffic_follows_the_nominated_address_alone() -> None:
    ice = IceLite()
    ice.answer(read_check(check(ice.local)), HOME, 1.0)
    ice.answer(read_check(check(ice.local)), ELSEWHERE, 2.0)
    assert ice.address == HOME
    ice.answer(read_check(check(ice.local, nominate=True)), ELSEWHERE, 3.0)
    assert ice.address == ELSEWHERE


def test_a_wrong_password_teaches_nothing() -> None:
    ice = IceLite()
    with pytest.raises(CheckInvalid):
        ice.answer(read_check(check(ice.local, password="x" * 24)), HOME, 1.0)
    assert ice.address is None
    assert ice.last_check == 0.0


def test_a_check_without_integrity_teaches_nothing() -> None:
    ice = IceLite()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ice.local.ufrag}:them"
    with pytest.raises(CheckInvalid):
        ice.answer(read_check(bytes(message)), HOME, 1.0)
    assert ice.address is None


def test_after_a_restart_the_old_credentials_serve_until_the_new_are_used() -> None:
    ice = IceLite()
    old = ice.local
    ice.restart()
    ice.answer(read_check(check(old)), HOME, 1.0)
    assert set(ice.ufrags) == {old.ufrag, ice.local.ufrag}
    ice.answer(read_check(check(ice.local, nominate=True)), ELSEWHERE, 2.0)
    assert ice.ufrags == [ice.local.ufrag]
    with pytest.raises(CheckInvalid):
        ice.answer(read_check(check(old)), HOME, 3.0)


def test_a_peer_has_few_addresses_at_once() -> None:
    ice = IceLite()
    for port in range(100):
        ice.answer(read_check(check(ice.local)), ("192.0.2.1", 1024 + port), 1.0)
    assert len(ice.addresses) == MAX_ADDRESSES


def test_however_many_pairs_a_peer_tries_the_one_that_carries_its_media_is_kept() -> None:
    ice = IceLite()
    ice.answer(read_check(check(ice.local, nominate=True)), HOME, 1.0)
    for port in range(100):
        ice.answer(read_check(check(ice.local)), ("192.0.2.1", 1024 + port), 1.0)
    assert ice.address == HOME
    assert HOME in ice.addresses


def test_when_an_address_is_lost_traffic_goes_on_at_the_one_that_was_checked_last() -> None:
    ice = IceLite()
    for address in (HOME, ELSEWHERE):
        ice.answer(read_check(check(ice.local, nominate=True)), address, 1.0)
    ice.answer(read_check(check(ice.local)), HOME, 2.0)
    ice.lose(ELSEWHERE)
    assert ice.address == HOME
    ice.lose(HOME)
    assert ice.address is None


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (("::ffff:192.0.2.1", 5000), ("192.0.2.1", 5000)),
        (("2001:db8::1", 5000), ("2001:db8::1", 5000)),
        (("192.0.2.1", 5000), ("192.0.2.1", 5000)),
    ],
)
def test_a_peer_is_told_its_address_as_it_knows_it(
    source: tuple[str, int], seen: tuple[str, int]
) -> None:
    ice = IceLite()
    answer = stun.parse_message(ice.answer(read_check(check(ice.local)), source, 1.0))
    assert seen_as(source) == answer.attributes["XOR-MAPPED-ADDRESS"] == seen


@pytest.mark.parametrize("kind", [stun.Class.RESPONSE, stun.Class.ERROR, stun.Class.INDICATION])
def test_what_is_no_request_is_no_check(kind: stun.Class) -> None:
    message = stun.Message(stun.Method.BINDING, kind)
    message.attributes["USERNAME"] = "us:them"
    with pytest.raises(CheckInvalid):
        read_check(bytes(message))


VALID = check(new_credentials(), nominate=True)


@settings(max_examples=300, database=None, deadline=None)
@given(st.binary(max_size=120), st.integers(0, len(VALID)), st.integers(0, len(VALID)))
def test_whatever_comes_is_a_check_or_refused(data: bytes, start: int, end: int) -> None:
    ice = IceLite()
    with contextlib.suppress(CheckInvalid):
        ice.answer(read_check(VALID[:start] + data + VALID[end:]), HOME, 1.0)
    assert ice.address is None


def test_who_calls_is_answered_by_a_lite_peer_and_goes_where_the_answer_came_from() -> None:
    caller, peer = IceCaller(), IceLite()
    request = caller.request(peer.local)
    assert read_check(bytes(request)).ufrag == peer.local.ufrag
    answer = peer.answer(read_check(bytes(request)), HOME, 1.0)
    assert peer.address == HOME, "it is nominated at once"
    caller.answered(answer, peer.local, ELSEWHERE, 2.0)
    assert (caller.address, caller.last_check) == (ELSEWHERE, 2.0)
    caller.answered(answer, peer.local, HOME, 3.0)
    assert caller.address == ELSEWHERE, "the first that answers is taken"


def test_an_answer_of_somebody_else_teaches_nothing() -> None:
    caller, peer, other = IceCaller(), IceLite(), IceLite()
    answer = peer.answer(read_check(bytes(caller.request(peer.local))), HOME, 1.0)
    forged = bytearray(answer)
    forged[-1] ^= 1
    for datagram, credentials in (
        (answer, other.local),
        (bytes(forged), peer.local),
        (bytes(caller.request(peer.local)), peer.local),
        (b"\x01\x01", peer.local),
    ):
        with pytest.raises(CheckInvalid):
            caller.answered(datagram, credentials, HOME, 2.0)
    assert caller.address is None
    assert caller.last_check == 0.0
