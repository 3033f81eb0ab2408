"""The rules of chat: who may write to whom, how fast, and who may change what was written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.errors import InvalidArgument
from services.meeting.domain import Participant, ParticipantRole, ParticipantState
from services.meeting.grants import Grants
from services.meeting.roles import EVERYTHING, standing
from services.meeting.room.chat import (
    BURST,
    BURST_TIME,
    MAX_MESSAGES,
    ChatFull,
    ChatMessage,
    ChatMessageDeleted,
    ChatMessageNotFound,
    ChatNotAllowed,
    ChatTooFast,
    NotYours,
    check_allowed,
    check_reply,
    check_room,
    clean,
)
from services.meeting.settings import ChatPolicy, Settings
from tests.meetings import NOW, a_meeting

ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)
LATER = NOW + timedelta(seconds=1)


def a_message(sender: UUID = ANN, recipient: UUID | None = None) -> ChatMessage:
    return ChatMessage(
        id=UUID(int=9),
        meeting_code="abc-defg-hij",
        sender_id=sender,
        sender_user_id=sender,
        sender_display_name="Ann",
        text="hello",
        create_time=NOW,
        recipient_id=recipient,
        recipient_user_id=recipient,
        media=("media/x",),
    )


def somebody(role: ParticipantRole, grants: Grants | None = None) -> Participant:
    state = ParticipantState.CONNECTED
    made = Participant(BOB, UUID(int=7), "abc-defg-hij", BOB, "Bob", role, state, NOW)
    return replace(made, grants=grants)


def is_let(writer: Participant, policy: ChatPolicy, *, private: bool = False) -> bool:
    meeting = a_meeting(settings=Settings(chat_policy=policy))
    how = standing(meeting, writer.user_id, [writer])
    try:
        check_allowed(meeting, writer, how, private=private)
    except ChatNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("policy", "host", "public", "private"),
    [
        (ChatPolicy.EVERYONE, True, True, True),
        (ChatPolicy.PUBLIC, True, True, False),
        (ChatPolicy.HOSTS, True, False, False),
        (ChatPolicy.OFF, False, False, False),
    ],
)
def test_the_policy_says_who_may_write(
    policy: ChatPolicy, host: bool, public: bool, private: bool
) -> None:
    for role in (ParticipantRole.HOST, ParticipantRole.COHOST):
        assert is_let(somebody(role), policy) is host
    for role in (ParticipantRole.PRESENTER, ParticipantRole.PARTICIPANT):
        assert is_let(somebody(role), policy) is public
        assert is_let(somebody(role), policy, private=True) is private


def test_grants_say_who_may_write_whatever_the_role() -> None:
    silenced = somebody(ParticipantRole.PRESENTER, replace(EVERYTHING, chat=False))
    assert not is_let(silenced, ChatPolicy.EVERYONE)
    helper = somebody(ParticipantRole.PARTICIPANT, EVERYTHING)
    assert is_let(helper, ChatPolicy.HOSTS)
    no_helper = somebody(ParticipantRole.COHOST, replace(EVERYTHING, administer=False))
    assert not is_let(no_helper, ChatPolicy.HOSTS)


def test_who_writes_too_fast_waits_until_the_first_of_the_burst_is_old() -> None:
    times = [NOW] * BURST
    check_room(BURST, times[1:], NOW)
    with pytest.raises(ChatTooFast) as caught:
        check_room(BURST, times, NOW + timedelta(seconds=4))
    assert caught.value.retry_after == 6.0
    check_room(BURST, times, NOW + BURST_TIME)
    with pytest.raises(ChatFull):
        check_room(MAX_MESSAGES, [], NOW)


def test_only_the_writer_edits_and_nobody_what_is_deleted() -> None:
    message = a_message()
    assert message.edited(ANN, "hello", LATER) is message
    edited = message.edited(ANN, "good morning", LATER)
    assert (edited.text, edited.edit_time, edited.create_time) == ("good morning", LATER, NOW)
    with pytest.raises(NotYours):
        message.edited(BOB, "x", LATER)
    with pytest.raises(NotYours):
        message.deleted(BOB, LATER, moderates=False)
    deleted = edited.deleted(BOB, LATER, moderates=True)
    assert (deleted.text, deleted.media, deleted.delete_time) == ("", (), LATER)
    assert deleted.deleted(ANN, LATER + BURST_TIME, moderates=False) is deleted
    with pytest.raises(ChatMessageDeleted):
        deleted.edited(ANN, "back", LATER)


def test_what_is_private_is_for_two_and_is_answered_between_them() -> None:
    private = a_message(ANN, BOB)
    assert [private.is_seen_by(each) for each in (ANN, BOB, EVE)] == [True, True, False]
    check_reply(a_message(BOB, ANN), private)
    check_reply(a_message(ANN, BOB), private)
    check_reply(a_message(EVE, BOB), a_message(ANN))
    for leaking in (a_message(BOB), a_message(BOB, EVE)):
        with pytest.raises(InvalidArgument):
            check_reply(leaking, private)
    with pytest.raises(ChatMessageNotFound):
        check_reply(a_message(EVE, BOB), private)


def test_text_is_cleaned_of_what_no_text_has() -> None:
    assert clean(" a\0b\x1b[31m\r\n\tc \n") == "ab[31m\n\tc"
    assert clean("\0 \n") == ""
