"""The SDK's rules without a wire: addresses, retries, cursors, what is kept for readers, and that no service is forgotten."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from parley.client import ParleyError, Retries, meeting_name
from parley.client._calls import method_at
from parley.client._conversation import After, Conversation
from parley.client._endpoint import Endpoint
from parley.client._events import Event, Log, Missed, Snapshot
from parley.client._retries import may_repeat
from parley.client._services import Services
from parley.options.v1 import options_pb2
from parley.signaling.v1.signaling_pb2 import (
    Accepted,
    Disconnected,
    Joined,
    ParticipantJoined,
    ParticipantLeft,
    Pong,
    Reaction,
    Resumed,
    ServerMessage,
)

from stack.rest import DESCRIPTORS

AWAY = grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("url", "target", "secure"),
    [
        ("https://meet.example.org", "meet.example.org:443", True),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443", True),
        ("http://localhost:8000", "localhost:8000", False),
        ("http://127.9.9.9", "127.9.9.9:80", False),
        ("http://[::1]:8000", "[::1]:8000", False),
    ],
)
def test_an_address_says_where_and_whether_it_is_secret(
    url: str, target: str, secure: bool
) -> None:
    endpoint = Endpoint.at(url)
    assert (endpoint.target, endpoint.secure) == (target, secure)


@pytest.mark.parametrize(
    "url",
    [
        "http://meet.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1",
        "meet.example.org",
        "ftp://meet.example.org",
        "https://meet.example.org/m/abc-defg-hij",
        "https://ann:secret@meet.example.org",
        "https://",
    ],
)
def test_an_address_that_would_tell_secrets_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"https://|host"):
        Endpoint.at(url)


def test_plain_can_be_asked_for() -> None:
    assert not Endpoint.at("http://10.0.0.1:8000", plain=True).secure


@pytest.mark.parametrize(
    "link",
    [
        "abc-defg-hij",
        "meetings/abc-defg-hij",
        "https://meet.example.org/abc-defg-hij?x=1#key=aaa-bbbb-ccc",
        "https://my-nice-box.example.org/m/abc-defg-hij",
    ],
)
def test_a_meeting_is_named_by_code_name_or_link(link: str) -> None:
    assert meeting_name(link) == "meetings/abc-defg-hij"


@pytest.mark.parametrize("link", ["", "abc-defg-hi", "xabc-defg-hij", "https://host/#abc-defg-hij"])
def test_what_names_no_meeting_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="names no meeting"):
        meeting_name(link)


@given(st.integers(1, 10_000), st.none() | st.floats(0, 100))
def test_waits_are_bounded_and_never_shorter_than_the_server_asks(
    failures: int, asked: float | None
) -> None:
    retries = Retries(attempts=100, first_delay=0.2, longest_delay=10.0)
    delay = retries.delay_after(failures, ParleyError(AWAY, "", retry_after=asked))
    if failures >= 100 or (asked is not None and asked > 10.0):
        assert delay is None
    else:
        assert delay is not None
        assert max(asked or 0.0, 0.15) <= delay <= 12.5


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_delay": 0.0}, {"longest_delay": 0.1}])
def test_impatience_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempt"):
        Retries(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "has_request_id", "code", "repeats"),
    [
        ("GetMeeting", False, AWAY, True),
        ("CreateMeeting", True, AWAY, True),
        ("CreateInvitations", False, AWAY, False),
        ("OpenBreakouts", False, AWAY, False),
        ("AskToUnmute", False, AWAY, False),
        ("GetMeeting", False, grpc.StatusCode.INTERNAL, False),
        ("GetMeeting", False, grpc.StatusCode.DEADLINE_EXCEEDED, False),
    ],
)
def test_only_what_can_not_be_done_twice_is_done_again(
    method: str, has_request_id: bool, code: grpc.StatusCode, repeats: bool
) -> None:
    assert may_repeat(method, has_request_id, ParleyError(code, "")) is repeats


def test_every_service_that_can_be_called_from_outside_is_an_attribute() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    outside = {
        f"{service.name}Stub"
        for file in files.file
        for service in file.service
        if any(
            method.options.Extensions[options_pb2.access] != options_pb2.ACCESS_SERVICE
            for method in service.method
        )
    }
    services = Services(_NoChannel())  # type: ignore[arg-type]
    assert {type(stub).__name__ for stub in vars(services).values()} == outside


def test_a_token_goes_to_those_methods_that_want_one() -> None:
    assert method_at("/parley.meeting.v1.MeetingService/CreateMeeting").needs_token
    assert method_at("/parley.user.v1.AdminService/ListUsers").needs_token
    assert not method_at("/parley.user.v1.AuthService/Login").needs_token
    assert not method_at("/parley.signaling.v1.SignalingService/Send").needs_token
    assert not method_at("/grpc.health.v1.Health/Check").needs_token


def joined(sequence: int) -> ServerMessage:
    return ServerMessage(sequence=sequence, joined=Joined(session_token="secret"))


def reaction(sequence: int) -> ServerMessage:
    return ServerMessage(sequence=sequence, reaction=Reaction(emoji="👋"))


@given(st.lists(st.integers(6, 40)))
def test_whatever_comes_twice_or_late_is_told_once_and_in_order(sequences: list[int]) -> None:
    conversation = Conversation("ticket")
    conversation.heard(joined(5))
    told = [event.sequence for each in sequences if (event := conversation.heard(reaction(each)))]
    assert told == sorted(set(told))
    assert conversation.opening().resume.cursor == max([5, *told])
    assert max([5, *told]) == max([5, *sequences])


def test_answers_and_pongs_are_no_events_and_still_move_the_cursor() -> None:
    conversation = Conversation("ticket")
    first = conversation.heard(joined(5))
    assert isinstance(first, Snapshot)
    assert not first.again
    untold = [
        ServerMessage(sequence=6, pong=Pong()),
        ServerMessage(sequence=7, accepted=Accepted()),
        ServerMessage(sequence=8, resumed=Resumed()),
    ]
    assert [conversation.heard(message) for message in untold] == [None] * 3
    assert conversation.opening().resume.cursor == 8


def test_who_is_there_is_kept_up_to_date() -> None:
    conversation = Conversation("ticket")
    conversation.heard(joined(1))
    new = ParticipantJoined()
    new.participant.name = "ann"
    conversation.heard(ServerMessage(sequence=2, participant_joined=new))
    assert set(conversation.participants) == {"ann"}
    left = ParticipantLeft(participant="ann")
    conversation.heard(ServerMessage(sequence=3, participant_left=left))
    assert not conversation.participants


def test_after_the_last_word_the_conversation_has_ended() -> None:
    conversation = Conversation("ticket")
    conversation.heard(joined(1))
    event = conversation.heard(ServerMessage(sequence=2, disconnected=Disconnected()))
    assert event is not None
    assert conversation.ended


@pytest.mark.parametrize(
    ("code", "reason", "after"),
    [
        (AWAY, "", After.AGAIN),
        (AWAY, "STATE_LOST", After.AGAIN),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW", After.AGAIN),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "ROOM_FULL", After.OVER),
        (grpc.StatusCode.UNAUTHENTICATED, "SESSION_EXPIRED", After.ANEW),
        (grpc.StatusCode.UNAUTHENTICATED, "TICKET_INVALID", After.ANEW),
        (grpc.StatusCode.FAILED_PRECONDITION, "TAKEN_OVER", After.OVER),
        (grpc.StatusCode.INVALID_ARGUMENT, "JOIN_FIRST", After.OVER),
    ],
)
def test_what_a_cut_means(code: grpc.StatusCode, reason: str, after: After) -> None:
    assert Conversation("ticket").cut(ParleyError(code, "", reason=reason)) is after


def test_what_a_reader_has_not_read_in_time_is_counted() -> None:
    log = Log(2)
    assert log.look(0) is None
    for sequence in range(5):
        log.put(Event("reaction", sequence, reaction(sequence)))
    found = log.look(1)
    assert found is not None
    missed, position = found
    assert isinstance(missed, Missed)
    assert (missed.count, position) == (2, 3)
    kept = log.look(position)
    assert kept is not None
    assert kept[0].sequence == 3
    log.close()
    with pytest.raises(StopAsyncIteration):
        log.look(5)


class _NoChannel:
    """Takes what a stub registers, and calls nothing."""

    def unary_unary(self, *_: object, **__: object) -> None: ...

    unary_stream = stream_unary = stream_stream = unary_unary
