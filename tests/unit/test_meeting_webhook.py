"""The rules of webhooks: signatures, back-off, addresses, and the story that programs are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.meeting.v1 import webhook_pb2

from chassis.clock import ManualClock
from services.meeting.domain import Meeting, MeetingState, Participant, ParticipantRole
from services.meeting.domain import ParticipantState as State
from services.meeting.events.happenings import Kind
from services.meeting.events.webhook import (
    FIRST_DELAY,
    LONGEST_DELAY,
    PATIENCE,
    CursorInvalid,
    Policy,
    WebhookAddressInvalid,
    check_kept,
    check_uri,
    cursor_of,
    delay,
    is_public,
    sequence_of,
    signature,
)
from services.meeting.gathering import Gathering

NOW = ManualClock().now()
LIFETIME = timedelta(minutes=10)


def a_meeting(state: MeetingState = MeetingState.SCHEDULED) -> Meeting:
    return Meeting(
        id=uuid4(),
        code="abc-defg-hij",
        title="Heard",
        description="",
        host_id=uuid4(),
        state=state,
        passcode="",
        capacity=10,
        locked=False,
        voice_activity=False,
        create_time=NOW,
        update_time=NOW,
    )


def somebody(meeting: Meeting, state: State) -> Participant:
    return Participant(
        id=uuid4(),
        meeting_id=meeting.id,
        meeting_code=meeting.code,
        user_id=uuid4(),
        display_name="Ann",
        role=ParticipantRole.PARTICIPANT,
        state=state,
        join_time=NOW,
    )


def told(gathering: Gathering) -> list[str]:
    return [each.kind.name for each in gathering.happenings()]


def test_a_signature_is_what_openssl_computes() -> None:
    """printf '1767225600.{"id":"x"}' | openssl dgst -sha256 -hmac whsec_test"""
    assert signature("whsec_test", NOW, b'{"id":"x"}') == (
        "t=1767225600,v1=f2a0e9cc79f6a8d5063bc6718561e872509983827740ea4ee5622da1c7e8d2b4"
    )


def test_kinds_have_the_contracts_numbers() -> None:
    values = webhook_pb2.MeetingEventType
    for kind in Kind:
        assert values.Name(values.ValueType(kind.value)) == f"MEETING_EVENT_TYPE_{kind.name}"


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delays_grow_to_the_longest_and_are_never_less_than_half(
    attempts: int, share: float
) -> None:
    whole = delay(attempts, 0)
    assert FIRST_DELAY <= whole <= LONGEST_DELAY
    assert whole / 2 <= delay(attempts, share) <= whole
    assert delay(attempts + 1, 0) >= whole


def test_three_days_are_some_twenty_attempts() -> None:
    waited, attempts = timedelta(0), 1
    while waited < PATIENCE:
        waited += delay(attempts, 0)
        attempts += 1
    assert 15 <= attempts <= 30


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
        *("2001:0:7f00:1::", "ff02::1", "198.18.0.1", "240.0.0.1"),
    ],
)
def test_addresses_within_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_addresses_out_on_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "uri",
    [
        *("http://hooks.example.org/", "ftp://hooks.example.org/", "https:///path", "hooks"),
        *("https://user@hooks.example.org/", "https://:secret@hooks.example.org/"),
        *("https://hooks.example.org/#part", "https://hooks.example.org:99999/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]:8443/"),
        *("https://localhost/", "https://LOCALHOST./", "https://printer.local/", "https://[::1/"),
        *("https://db.internal/", "https://häuser.example.org/"),
    ],
)
def test_addresses_that_are_refused(uri: str) -> None:
    with pytest.raises(WebhookAddressInvalid):
        check_uri(uri, Policy())


def test_what_the_operator_allows_is_allowed() -> None:
    check_uri("https://hooks.example.org/parley?x=1", Policy())
    check_uri("https://localhost:8443/", Policy(private=True))
    check_uri("http://hooks.example.org/", Policy(http=True))
    with pytest.raises(WebhookAddressInvalid):
        check_uri("http://127.0.0.1/", Policy(http=True))


@given(st.integers(0, 10**18 - 1))
def test_a_cursor_is_the_place_that_it_was_made_of(sequence: int) -> None:
    assert sequence_of(cursor_of(sequence)) == sequence
    assert len(cursor_of(sequence)) <= 128


@given(st.text(max_size=128))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        sequence_of(text)
    except CursorInvalid:
        return
    raise AssertionError(text)


def test_cursors_of_what_is_not_kept_or_not_there_are_refused() -> None:
    assert [check_kept(each, last=9, swept=3) for each in (3, 9)] == [3, 9]
    for each in (2, 10):
        with pytest.raises(CursorInvalid):
            check_kept(each, last=9, swept=3)


def test_the_first_to_connect_starts_the_meeting() -> None:
    meeting = a_meeting()
    ann = somebody(meeting, State.JOINING)
    gathering = Gathering(meeting, [ann], NOW, LIFETIME)
    gathering.connect(ann.id)
    assert told(gathering) == ["STARTED", "PARTICIPANT_JOINED"]


def test_an_end_is_told_after_who_has_left_by_it() -> None:
    meeting = a_meeting(MeetingState.ACTIVE)
    states = (State.CONNECTED, State.JOINING, State.WAITING, State.CONNECTED)
    gathering = Gathering(meeting, [somebody(meeting, each) for each in states], NOW, LIFETIME)
    gathering.close(meeting.ended(NOW))
    assert told(gathering) == ["PARTICIPANT_LEFT", "PARTICIPANT_LEFT", "ENDED"]


def test_who_lets_a_ticket_expire_has_neither_come_nor_gone() -> None:
    meeting = a_meeting(MeetingState.ACTIVE)
    late = somebody(meeting, State.JOINING)
    late = replace(late, join_time=NOW - LIFETIME, admit_time=NOW - LIFETIME)
    gathering = Gathering(meeting, [late], NOW, LIFETIME)
    assert gathering.person(late.id).state is State.LEFT
    assert told(gathering) == []


def test_changes_and_calling_off_are_told_and_what_changes_nothing_is_not() -> None:
    meeting = a_meeting()
    gathering = Gathering(meeting, [], NOW, LIFETIME)
    gathering.meeting = meeting.changed(NOW, title="Heard")
    assert told(gathering) == []
    gathering.meeting = meeting.changed(NOW, title="Other")
    assert told(gathering) == ["UPDATED"]
    gathering.meeting = meeting.cancelled(NOW)
    assert told(gathering) == ["CANCELLED"]
