"""Whatever changes something can be asked for twice: by its `request_id`, or for a reason that is said here."""

from __future__ import annotations

import pytest
from parley.options.v1 import options_pb2
from parley.options.v1.options_pb2 import Access

from stack import codegen, openapi
from stack.contracts import Contracts

STATES = "it says how something is to be, and twice is as once"
GONE = "it deletes, and what is deleted already is not found"
COUNTS = "it says how something is to be, and its answer counts what this call has done about it"
TELLS = "it says how something is to be, and who has not followed yet is told again"

WITHOUT = {
    STATES: """
        AccountService.SetAvatar AccountService.DeleteAvatar
        ApiKeyService.RevokeApiKey AuthService.Logout SessionService.EndSession
        BreakoutService.CloseBreakouts
        ChatService.EditChatMessage ChatService.DeleteChatMessage
        MeetingService.UpdateMeeting MeetingService.CancelMeeting
        MeetingService.LockMeeting MeetingService.UnlockMeeting MeetingService.LeaveMeeting
        MeetingService.EndMeeting
        ParticipantService.AdmitParticipant
        ParticipantService.DenyParticipant ParticipantService.RemoveParticipant
        ParticipantService.SetParticipantRole ParticipantService.SetParticipantGrants
        ParticipantService.MuteParticipant
        ParticipantService.SetConsent
        PollService.VotePoll PollService.ClosePoll
        ScheduleService.UpdateSchedule
        SettingsService.UpdateSettings
        TranscriptService.DeleteTranscript
        NodeService.DrainNode""",
    COUNTS: "ParticipantService.AdmitAllParticipants ParticipantService.MuteAllParticipants",
    TELLS: "BreakoutService.MoveParticipant",
    GONE: """
        MeetingService.DeleteMeeting ScheduleService.DeleteInvitation WebhookService.DeleteWebhook
        LibraryService.DeleteMedia""",
    "whoever asks again has no account any more, and is refused": "AccountService.DeleteAccount",
    "it is made anew, in place of the one before": "TranscriptService.GenerateSummary",
    "nobody serves it yet; its contract says that it is repeatable": """
        RecordingService.StopRecording RecordingService.DeleteRecording""",
    "an address is invited to a meeting once": "ScheduleService.CreateInvitations",
    "nothing is kept of it": """
        ApiKeyService.ExchangeApiKey SignInService.CreateGuestSession SignInService.BeginSignIn
        AiService.RecognizeSpeech AiService.RecognizeLongSpeech AiService.StreamRecognizeSpeech
        AiService.DetectEmotion AiService.StreamDetectEmotion TranscriptService.CatchUp""",
    "its provider takes a code once; whoever lost the answer begins anew": """
        SignInService.CompleteSignIn""",
    "a person is asked once more": "ParticipantService.AskToUnmute",
    "receivers know an event by its id": "WebhookService.ReplayWebhook",
    "its frames have ids of their own, and Join resumes": """
        SignalingService.Connect SignalingService.Subscribe SignalingService.Send""",
}
"""Methods without a `request_id`, by why they need none.

tests/wire/mesh/test_repeats_states.py asks for each that says how something is to be, or deletes it, twice; for
NodeService.DrainNode tests/wire/media/test_failover.py does, for LibraryService.DeleteMedia test_library_repeats.py there.
"""


@pytest.fixture(scope="module")
def changing() -> dict[str, bool]:
    """What people and programs call that is no reading, and whether its request has an id."""
    contracts = Contracts.of(codegen.contracts())
    found: dict[str, bool] = {}
    for service, method in contracts.methods():
        reads = any(rule.WhichOneof("pattern") == "get" for rule in openapi.rules(method))
        access = method.options.Extensions[options_pb2.access]
        if access != Access.ACCESS_SERVICE and not reads:
            fields = contracts.messages[method.input_type[1:]].field
            name = f"{service.rpartition('.')[2]}.{method.name}"
            found[name] = any(it.name == "request_id" for it in fields)
    return found


def test_whatever_changes_something_has_a_request_id_or_a_reason(changing: dict[str, bool]) -> None:
    without = {name for name, has_id in changing.items() if not has_id}
    assert without == {name for names in WITHOUT.values() for name in names.split()}
