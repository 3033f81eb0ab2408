"""What a meeting's server may hear and see, and of whom: settings, consents, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.meeting import audit
from services.meeting.analysis import analysis, as_request
from services.meeting.domain import (
    Meeting,
    MeetingState,
    Participant,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.settings import (
    CaptionsOff,
    Consent,
    EmotionsNotAllowed,
    LanguageNotSupported,
    Settings,
    consent_of,
    settings_of,
    stored,
)
from tests.meetings import NOW, a_meeting

ON = Settings(captions=True, transcript=True, emotions=True, language_code="zh-CN")


def participant(consent: Consent) -> Participant:
    return Participant(
        id=uuid4(),
        meeting_id=uuid4(),
        meeting_code="abc-defg-hij",
        user_id=uuid4(),
        display_name="Ann",
        role=ParticipantRole.PARTICIPANT,
        state=ParticipantState.CONNECTED,
        join_time=NOW,
        consent=consent,
    )


SILENT = participant(Consent(captions_declined=True))
PLAIN = participant(Consent())
WILLING = participant(Consent(transcript=True, emotions=True))
EVERYONE = (SILENT, PLAIN, WILLING)


def test_speech_is_recognised_of_those_who_have_not_declined_and_faces_read_of_the_willing() -> (
    None
):
    found = analysis(a_meeting(settings=ON, analysis_revision=7), EVERYONE)
    assert list(found.captions) == [PLAIN.name, WILLING.name]
    assert list(found.emotions) == [WILLING.name]
    assert (found.revision, found.transcript) == (7, True)
    assert found.recognition.language_code == "zh-CN"


@pytest.mark.parametrize(
    "off",
    [
        a_meeting(settings=Settings()),
        a_meeting(settings=ON, end_to_end_encrypted=True),
        a_meeting(settings=ON, state=MeetingState.ENDED),
    ],
    ids=["switched off", "encrypted", "over"],
)
def test_else_nobody_is_heard_or_seen(off: Meeting) -> None:
    found = analysis(off, EVERYONE)
    assert (list(found.captions), list(found.emotions), found.transcript) == ([], [], False)


def test_media_is_told_what_it_would_hear_if_it_asked() -> None:
    found = analysis(a_meeting(settings=ON, analysis_revision=7), EVERYONE)
    told = as_request("meetings/abc-defg-hij", found)
    assert told.meeting == "meetings/abc-defg-hij"
    for field in found.DESCRIPTOR.fields:
        assert getattr(told, field.name) == getattr(found, field.name), field.name


def test_a_transcript_and_a_summary_need_captions_and_end_with_them() -> None:
    for name in ("transcript", "summary"):
        with pytest.raises(CaptionsOff):
            Settings().changed({name: True}, emotions_allowed=False)
    both = Settings().changed({"captions": True, "transcript": True}, emotions_allowed=False)
    assert not both.changed({"captions": False}, emotions_allowed=False).transcript


def test_faces_are_read_only_where_the_operator_allows_it() -> None:
    with pytest.raises(EmotionsNotAllowed):
        Settings().changed({"emotions": True}, emotions_allowed=False)
    assert Settings().changed({"emotions": True}, emotions_allowed=True).emotions


def test_a_language_is_one_that_is_recognised() -> None:
    for code in ("", "en", "zh-TW", "pt-BR"):
        assert Settings().changed({"language_code": code}, emotions_allowed=False)
    with pytest.raises(LanguageNotSupported):
        Settings().changed({"language_code": "tlh"}, emotions_allowed=False)


def test_what_is_kept_is_read_again_and_what_a_newer_version_kept_is_passed_over() -> None:
    whole = replace(ON, vocabulary=("Parley", "Envoy"))
    assert settings_of({**stored(whole), "of_tomorrow": 1}) == whole
    assert consent_of({**stored(WILLING.consent), "of_tomorrow": 1}) == WILLING.consent
    assert stored(Settings()) == stored(Consent()) == {}


def test_each_switch_and_each_consent_is_audited_and_nothing_else() -> None:
    user = uuid4()
    after = replace(ON, emotions=False, captions=False, language_code="en")
    told = [event.action for event in audit.switched(NOW, user, "meetings/m", ON, after)]
    assert told == ["captions.disable", "emotions.disable"]
    agreed = audit.agreed(NOW, user, "p", Consent(), Consent(captions_declined=True, emotions=True))
    assert [(event.action, event.details["to"]) for event in agreed] == [
        ("consent.withdraw", "captions"),
        ("consent.give", "emotions"),
    ]
