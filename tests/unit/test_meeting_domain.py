"""The rules of meetings, and that whatever happens in whatever order leaves a lawful state."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import DomainError
from services.meeting.domain import (
    EtagMismatch,
    MeetingActive,
    MeetingEnded,
    MeetingFull,
    MeetingLocked,
    MeetingState,
    NotHost,
    Participant,
    ParticipantGone,
    ParticipantRole,
    ParticipantState,
    WrongPasscode,
    admit,
    new_code,
)
from services.meeting.settings import MeetingEncrypted, Settings
from tests.meetings import HOST, NOW, a_meeting

TICKET = timedelta(minutes=10)
SCHEDULED = MeetingState.SCHEDULED
GUEST = UUID(int=2)


def somebody(state: ParticipantState = ParticipantState.CONNECTED) -> Participant:
    return Participant(
        id=uuid4(),
        meeting_id=uuid4(),
        meeting_code="abc-defg-hij",
        user_id=uuid4(),
        display_name="Bob",
        role=ParticipantRole.PARTICIPANT,
        state=state,
        join_time=NOW,
    )


def test_codes_have_their_form_and_differ() -> None:
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(re.fullmatch("[a-z]{3}-[a-z]{4}-[a-z]{3}", code) for code in codes)


def test_the_host_joins_as_host_whatever_the_passcode_and_the_lock() -> None:
    meeting = a_meeting(passcode="open sesame", locked=True)
    assert admit(meeting, [], HOST, "", NOW, TICKET) is ParticipantRole.HOST


def test_encryption_is_fixed_once_somebody_has_a_ticket() -> None:
    meeting, off = a_meeting(state=SCHEDULED), Settings()
    encrypted = meeting.configured(NOW, off, encrypted=True, joined=False)
    assert encrypted.end_to_end_encrypted
    assert encrypted.etag != meeting.etag
    assert encrypted.configured(NOW, off, encrypted=True, joined=True) is encrypted
    with pytest.raises(MeetingActive):
        encrypted.configured(NOW, off, encrypted=False, joined=True)
    with pytest.raises(MeetingActive):
        meeting.configured(NOW, off, encrypted=True, joined=True)


def test_what_is_encrypted_is_not_heard_and_what_is_heard_is_not_encrypted() -> None:
    meeting, heard = a_meeting(state=SCHEDULED), Settings(captions=True)
    with pytest.raises(MeetingEncrypted):
        meeting.configured(NOW, heard, encrypted=True, joined=False)
    listening = meeting.configured(NOW, heard, encrypted=False, joined=True)
    assert listening.analysis_revision > meeting.analysis_revision
    with pytest.raises(MeetingEncrypted):
        listening.configured(NOW, heard, encrypted=True, joined=False)


def test_settings_are_the_hosts_of_a_meeting_that_goes_on_as_it_was_read() -> None:
    meeting = a_meeting()
    meeting.check_configurable(HOST, "")
    meeting.check_configurable(HOST, meeting.etag)
    with pytest.raises(NotHost):
        meeting.check_configurable(GUEST, "")
    with pytest.raises(EtagMismatch):
        meeting.check_configurable(HOST, '"0"')
    with pytest.raises(MeetingEnded):
        meeting.ended(HOST, NOW).check_configurable(HOST, "")


def test_a_wrong_passcode_a_lock_and_an_end_keep_others_out() -> None:
    with pytest.raises(WrongPasscode):
        admit(a_meeting(passcode="open sesame"), [], GUEST, "é", NOW, TICKET)
    with pytest.raises(MeetingLocked):
        admit(a_meeting(locked=True), [], GUEST, "", NOW, TICKET)
    with pytest.raises(MeetingEnded):
        admit(a_meeting().ended(HOST, NOW), [], GUEST, "", NOW, TICKET)


def test_a_ticket_that_is_not_used_holds_a_place_only_while_it_can_be() -> None:
    meeting, waiting = a_meeting(capacity=1), [somebody(ParticipantState.JOINING)]
    with pytest.raises(MeetingFull):
        admit(meeting, waiting, GUEST, "", NOW + TICKET / 2, TICKET)
    assert admit(meeting, waiting, GUEST, "", NOW + TICKET, TICKET)


def test_who_left_comes_back_only_as_somebody_new() -> None:
    gone = somebody().left(NOW)
    assert gone.left(NOW + TICKET) == gone
    with pytest.raises(ParticipantGone):
        gone.connected(NOW)


def test_only_the_host_ends_a_meeting_and_its_end_is_for_good() -> None:
    meeting = a_meeting(state=SCHEDULED).started(NOW)
    with pytest.raises(NotHost):
        meeting.ended(GUEST, NOW)
    over = meeting.ended(HOST, NOW)
    assert over.ended(HOST, NOW + TICKET) == over
    with pytest.raises(MeetingEnded):
        over.started(NOW)


STEPS = st.lists(st.sampled_from(["start", "end by host", "end by guest"]), max_size=8)


@given(STEPS)
def test_whatever_happens_a_meeting_never_comes_back_from_its_end(steps: list[str]) -> None:
    meeting, order = a_meeting(state=SCHEDULED), list(MeetingState)
    for number, step in enumerate(steps):
        before, now = meeting, NOW + timedelta(seconds=number)
        try:
            if step == "start":
                meeting = meeting.started(now)
            else:
                meeting = meeting.ended(HOST if "host" in step else GUEST, now)
        except DomainError:
            assert meeting == before
        assert order.index(meeting.state) >= order.index(before.state)
        assert (meeting.end_time is not None) == (meeting.state is MeetingState.ENDED)
        assert meeting.revision >= before.revision
