"""The rules of meetings, and that whatever happens in whatever order leaves a lawful state."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import DomainError
from services.meeting.domain import (
    EtagMismatch,
    MeetingActive,
    MeetingEnded,
    MeetingState,
    Participant,
    ParticipantGone,
    ParticipantRole,
    ParticipantState,
    new_code,
)
from services.meeting.settings import MeetingEncrypted, Settings
from tests.meetings import NOW, a_meeting

TICKET = timedelta(minutes=10)
SCHEDULED = MeetingState.SCHEDULED


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


def test_a_meeting_is_changed_as_it_was_read_and_while_it_is_open() -> None:
    meeting = a_meeting()
    meeting.check_open()
    meeting.check_open(meeting.etag)
    changed = meeting.changed(NOW, title="Weekly")
    with pytest.raises(EtagMismatch):
        changed.check_open(meeting.etag)
    assert changed.changed(NOW, title="Weekly") is changed
    for over in (meeting.ended(NOW), a_meeting(state=SCHEDULED).cancelled(NOW)):
        with pytest.raises(MeetingEnded):
            over.check_open()


def test_who_is_heard_speaking_changes_with_the_meeting() -> None:
    meeting = a_meeting()
    quiet = meeting.changed(NOW, voice_activity=False)
    assert quiet.analysis_revision > meeting.analysis_revision
    assert quiet.changed(NOW, title="x").analysis_revision == quiet.analysis_revision


def test_only_what_nobody_has_joined_is_called_off_and_only_what_is_over_deleted() -> None:
    cancelled = a_meeting(state=SCHEDULED).cancelled(NOW)
    assert cancelled.cancelled(NOW + TICKET) is cancelled
    cancelled.check_deletable()
    a_meeting().ended(NOW).check_deletable()
    for going_on in (a_meeting(), a_meeting(state=SCHEDULED)):
        with pytest.raises(MeetingActive):
            going_on.check_deletable()
    with pytest.raises(MeetingActive):
        a_meeting().cancelled(NOW)
    with pytest.raises(MeetingActive):
        a_meeting().ended(NOW).cancelled(NOW)


def test_who_left_comes_back_only_as_somebody_new() -> None:
    gone = somebody().left(NOW)
    assert gone.left(NOW + TICKET) == gone
    with pytest.raises(ParticipantGone):
        gone.connected(NOW)
    with pytest.raises(ParticipantGone):
        somebody(ParticipantState.WAITING).connected(NOW)


STEPS = st.lists(st.sampled_from(["start", "end", "cancel", "rename"]), max_size=8)


@given(STEPS)
def test_whatever_happens_a_meeting_never_comes_back_from_its_end(steps: list[str]) -> None:
    meeting, order = a_meeting(state=SCHEDULED), list(MeetingState)
    for number, step in enumerate(steps):
        before, now = meeting, NOW + timedelta(seconds=number)
        try:
            match step:
                case "start":
                    meeting = meeting.started(now)
                case "end":
                    meeting = meeting.ended(now)
                case "cancel":
                    meeting = meeting.cancelled(now)
                case _:
                    meeting.check_open()
                    meeting = meeting.changed(now, title=str(number))
        except DomainError:
            assert meeting == before
        assert order.index(meeting.state) >= order.index(before.state)
        assert (meeting.end_time is not None) == meeting.is_over
        assert not before.is_over or meeting == before
        assert meeting.revision >= before.revision
