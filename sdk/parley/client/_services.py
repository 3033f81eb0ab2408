"""Every service that can be called from outside, as an attribute: its generated stub, with types."""

from __future__ import annotations

import grpc
from parley.ai.v1 import ai_pb2_grpc
from parley.media.v1 import library_pb2_grpc, node_pb2_grpc, recording_pb2_grpc
from parley.meeting.v1 import (
    breakout_pb2_grpc,
    chat_pb2_grpc,
    meeting_pb2_grpc,
    participant_pb2_grpc,
    poll_pb2_grpc,
    report_pb2_grpc,
    schedule_pb2_grpc,
    settings_pb2_grpc,
    transcript_pb2_grpc,
    webhook_pb2_grpc,
)
from parley.signaling.v1 import signaling_pb2_grpc
from parley.user.v1 import (
    account_pb2_grpc,
    admin_pb2_grpc,
    api_key_pb2_grpc,
    credential_pb2_grpc,
    session_pb2_grpc,
    sign_in_pb2_grpc,
    user_pb2_grpc,
)


class Services:
    """The stubs on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.accounts = account_pb2_grpc.AccountServiceStub(channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(channel)
        self.ai = ai_pb2_grpc.AiServiceStub(channel)
        self.api_keys = api_key_pb2_grpc.ApiKeyServiceStub(channel)
        self.auth = user_pb2_grpc.AuthServiceStub(channel)
        self.breakouts = breakout_pb2_grpc.BreakoutServiceStub(channel)
        self.chat = chat_pb2_grpc.ChatServiceStub(channel)
        self.credentials = credential_pb2_grpc.CredentialServiceStub(channel)
        self.library = library_pb2_grpc.LibraryServiceStub(channel)
        self.meetings = meeting_pb2_grpc.MeetingServiceStub(channel)
        self.nodes = node_pb2_grpc.NodeServiceStub(channel)
        self.participants = participant_pb2_grpc.ParticipantServiceStub(channel)
        self.polls = poll_pb2_grpc.PollServiceStub(channel)
        self.recordings = recording_pb2_grpc.RecordingServiceStub(channel)
        self.reports = report_pb2_grpc.ReportServiceStub(channel)
        self.schedules = schedule_pb2_grpc.ScheduleServiceStub(channel)
        self.sessions = session_pb2_grpc.SessionServiceStub(channel)
        self.settings = settings_pb2_grpc.SettingsServiceStub(channel)
        self.sign_in = sign_in_pb2_grpc.SignInServiceStub(channel)
        self.signaling = signaling_pb2_grpc.SignalingServiceStub(channel)
        self.transcripts = transcript_pb2_grpc.TranscriptServiceStub(channel)
        self.users = user_pb2_grpc.UserServiceStub(channel)
        self.webhooks = webhook_pb2_grpc.WebhookServiceStub(channel)


__all__ = ["Services"]
