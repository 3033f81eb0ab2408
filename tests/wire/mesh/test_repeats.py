"""Every request with a `request_id`, of which the reply is lost after the commit, gets it when it is asked again: once done.

Over real gRPC on real Postgres. Each is called three times: what the first has done is all that is ever done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pyotp
import pytest
from google.protobuf.message import Message
from parley.meeting.v1 import (
    breakout_pb2,
    chat_pb2,
    meeting_pb2,
    poll_pb2,
    schedule_pb2,
    schedule_pb2_grpc,
    webhook_pb2,
)
from parley.user.v1 import admin_pb2, api_key_pb2, credential_pb2, session_pb2, user_pb2

from services.user.promote import promote
from tests.conftest import DatabaseFactory
from tests.credential_stand import PASSWORD, user_standing
from tests.credential_stand import Person as Somebody
from tests.credential_stand import Stand as UserStand
from tests.lost_replies import LOST, LostReplies, kept, repeatable
from tests.meeting_stand import BEGIN, PATIENCE_SECONDS, Stand, stand_with
from tests.servers import PostgresServer

MEETING, USER = repeatable("parley.meeting.v1"), repeatable("parley.user.v1")
PASSING = frozenset({"event_outbox", "event_news", "events", "event_log", "audit_outbox"})
"""What goes on to others in the background: that it goes on once is seen there."""
SEEN = frozenset({"guesses", "known_places", "participants", "erasures"})
"""What also says when somebody was last seen, or what others are still to be told."""
BESIDE = {
    "CredentialService.RequestPasswordReset": frozenset({"links"}),
    "WebhookService.CreateWebhook": frozenset({"webhooks", "deliveries"}),
}
"""What goes on beside or after a method: letters and webhooks are counted in the end."""

Make = Callable[[str], Message]


async def thrice(
    channel: grpc.aio.Channel,
    url: str,
    losing: LostReplies,
    method: Any,
    request: Message,
    metadata: Any,
) -> Any:
    """Ask three times, of which the first reply is lost; returns the answer."""
    losing.lose(method.full_name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method.call(channel, request, metadata)
    assert caught.value.code() is LOST, f"{method.full_name}: {caught.value}"
    passing = PASSING | SEEN | BESIDE.get(method.full_name, frozenset())
    done = await kept(url, passing)
    answer = await method.call(channel, request, metadata)
    again = await method.call(channel, request, metadata)
    for each in (answer, again):
        for fresh in ("ticket", "ice_servers"):  # it says when it was made
            if fresh in each.DESCRIPTOR.fields_by_name:
                each.ClearField(fresh)
    assert again == answer, method.full_name
    now = await kept(url, passing)
    twice = {name: set(rows) ^ set(done[name]) for name, rows in now.items() if rows != done[name]}
    assert not twice, f"{method.full_name} was done more than once"
    return answer


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, losing: LostReplies
) -> AsyncIterator[Stand]:
    values: dict[str, Any] = {"webhook_private": True, "webhook_http": True}
    async for it in stand_with(database, tmp_path, **values):
        yield it


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> LostReplies:
    return LostReplies(monkeypatch, {**MEETING, **USER})


def _open_breakouts(meeting: str) -> Message:
    return breakout_pb2.OpenBreakoutsRequest(parent=meeting, breakouts=[{"title": "one"}])  # type: ignore[list-item]


def _chat(meeting: str) -> Message:
    message = chat_pb2.ChatMessage(text="Hello")
    return chat_pb2.CreateChatMessageRequest(parent=meeting, chat_message=message)


def _poll(meeting: str) -> Message:
    choices = [poll_pb2.PollChoice(text=text) for text in ("yes", "no")]
    poll = poll_pb2.Poll(question="Now?", choices=choices)
    return poll_pb2.CreatePollRequest(parent=meeting, poll=poll)


def _create(_: str) -> Message:
    return meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Once"))


def _join(meeting: str) -> Message:
    return meeting_pb2.JoinMeetingRequest(name=meeting, display_name="Ann")


def _schedule(_: str) -> Message:
    schedule = schedule_pb2.Schedule(time_zone="Europe/Berlin")
    schedule.start_time.FromDatetime(BEGIN.replace(year=BEGIN.year + 5))
    meeting = meeting_pb2.Meeting(title="Planned")
    return schedule_pb2.ScheduleMeetingRequest(meeting=meeting, schedule=schedule)


def _feed(_: str) -> Message:
    return schedule_pb2.CreateCalendarFeedRequest()


def _webhook(_: str) -> Message:
    return webhook_pb2.CreateWebhookRequest(webhook={"uri": "http://127.0.0.1:1/"})  # type: ignore[arg-type]


IN_MEETINGS: dict[str, Make] = {
    "BreakoutService.OpenBreakouts": _open_breakouts,
    "ChatService.CreateChatMessage": _chat,
    "PollService.CreatePoll": _poll,
    "MeetingService.CreateMeeting": _create,
    "MeetingService.JoinMeeting": _join,
    "ScheduleService.CreateCalendarFeed": _feed,
    "ScheduleService.ScheduleMeeting": _schedule,
    "WebhookService.CreateWebhook": _webhook,
}


async def test_what_is_done_in_meetings_is_done_once(stand: Stand, losing: LostReplies) -> None:
    assert set(IN_MEETINGS) == set(MEETING), "the contract has no other"
    for name, make in IN_MEETINGS.items():
        ann = stand.person()
        meeting = await ann.create()
        if name != "MeetingService.JoinMeeting":
            await ann.join(meeting)
        request: Any = make(meeting)
        request.request_id = str(uuid4())
        await thrice(
            stand.channel, stand.database_url, losing, MEETING[name], request, ann.metadata
        )
    assert len((await kept(stand.database_url, PASSING))["webhooks"]) == 1


async def test_a_feed_is_shown_again_but_not_to_who_reads_the_database(stand: Stand) -> None:
    ann = stand.person()
    stub: Any = schedule_pb2_grpc.ScheduleServiceStub(stand.channel)
    asked = schedule_pb2.CreateCalendarFeedRequest(request_id=str(uuid4()))
    first = await stub.CreateCalendarFeed(asked, metadata=ann.metadata)
    newer = await stub.CreateCalendarFeed(
        schedule_pb2.CreateCalendarFeedRequest(), metadata=ann.metadata
    )
    assert await stub.CreateCalendarFeed(asked, metadata=ann.metadata) == first
    feed = schedule_pb2.GetCalendarFeedRequest(name=newer.name)
    assert (await stub.GetCalendarFeed(feed)).data, "the newer one is as it was"
    answers = (await kept(stand.database_url, frozenset()))["answers"]
    assert answers, "the first answer is kept"
    secret = first.name.removeprefix("calendarFeeds/").encode().hex()
    assert not [row for row in answers if secret in row]


async def test_who_joins_comes_once(stand: Stand, losing: LostReplies) -> None:
    ann = stand.person()
    meeting = await ann.create()
    request: Any = _join(meeting)
    request.request_id = str(uuid4())
    method = MEETING["MeetingService.JoinMeeting"]
    await thrice(stand.channel, stand.database_url, losing, method, request, ann.metadata)
    everything = await kept(stand.database_url, frozenset())
    assert len(everything["participants"]) == 1


async def test_the_room_is_told_of_a_message_once(stand: Stand, losing: LostReplies) -> None:
    ann = stand.person()
    meeting = await ann.create()
    await ann.join(meeting)
    for text in ("one", "two"):
        request: Any = _chat(meeting)
        request.chat_message.text, request.request_id = text, str(uuid4())
        method = MEETING["ChatService.CreateChatMessage"]
        await thrice(stand.channel, stand.database_url, losing, method, request, ann.metadata)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "two" not in told(stand):  # noqa: ASYNC110  # the stand-in does not tell of changes
            await asyncio.sleep(0.01)
    assert told(stand) == ["one", "two"]


def told(stand: Stand) -> list[str]:
    requests = stand.neighbours.published.values()
    messages = [event.message for request in requests for event in request.events]
    chat = [each for each in messages if each.WhichOneof("message") == "chat_changed"]
    return [each.chat_changed.chat_message.text for each in chat]


class Office:
    """People with accounts, an admin among them, whose requests are made in an order in which they can be done."""

    def __init__(self, stand: UserStand, admin: Somebody, ann: Somebody, bob: Somebody) -> None:
        self.stand, self.admin, self.ann, self.bob = stand, admin, ann, bob
        self.secret = self.link = ""
        self.codes: list[str] = []

    def requests(self) -> dict[str, tuple[Somebody, Callable[[], Any]]]:
        """Who asks for what, by method; each is made when its turn comes."""
        me, new = {"name": "users/me"}, Somebody(self.stand.channel)
        bob = {"name": self.bob.name}
        return {
            "AuthService.Register": (
                new,
                lambda: user_pb2.RegisterRequest(
                    username=new.username, email=new.email, password=PASSWORD
                ),
            ),
            "AuthService.Login": (
                new,
                lambda: user_pb2.LoginRequest(username_or_email=new.username, password=PASSWORD),
            ),
            "AuthService.Refresh": (
                new,
                lambda: user_pb2.RefreshRequest(refresh_token=self.ann.refresh_token),
            ),
            "UserService.UpdateUser": (
                self.ann,
                lambda: user_pb2.UpdateUserRequest(
                    user=user_pb2.User(name=self.ann.name, display_name="Anna")
                ),
            ),
            "CredentialService.RequestEmailVerification": (
                self.ann,
                lambda: credential_pb2.RequestEmailVerificationRequest(**me),
            ),
            "CredentialService.VerifyEmail": (
                new,
                lambda: credential_pb2.VerifyEmailRequest(token=self.link),
            ),
            "CredentialService.BeginTotp": (
                self.ann,
                lambda: credential_pb2.BeginTotpRequest(**me, password=PASSWORD),
            ),
            "CredentialService.EnableTotp": (
                self.ann,
                lambda: credential_pb2.EnableTotpRequest(**me, code=pyotp.TOTP(self.secret).now()),
            ),
            "CredentialService.ReplaceRecoveryCodes": (
                self.ann,
                lambda: credential_pb2.ReplaceRecoveryCodesRequest(
                    **me, password=PASSWORD, code=pyotp.TOTP(self.secret).at(time.time() + 30)
                ),
            ),
            "CredentialService.DisableTotp": (
                self.ann,
                lambda: credential_pb2.DisableTotpRequest(
                    **me, password=PASSWORD, code=self.codes[0]
                ),
            ),
            "CredentialService.ChangePassword": (
                self.ann,
                lambda: credential_pb2.ChangePasswordRequest(
                    **me, current_password=PASSWORD, new_password="a new password"
                ),
            ),
            "SessionService.EndAllSessions": (
                self.ann,
                lambda: session_pb2.EndAllSessionsRequest(parent="users/me", keep_current=True),
            ),
            "ApiKeyService.CreateApiKey": (
                self.bob,
                lambda: api_key_pb2.CreateApiKeyRequest(
                    parent="users/me",
                    api_key=api_key_pb2.ApiKey(
                        display_name="ci", scopes=[api_key_pb2.API_KEY_SCOPE_MEETINGS_READ]
                    ),
                ),
            ),
            "CredentialService.RequestPasswordReset": (
                new,
                lambda: credential_pb2.RequestPasswordResetRequest(email=self.ann.email),
            ),
            "CredentialService.ResetPassword": (
                new,
                lambda: credential_pb2.ResetPasswordRequest(
                    token=self.link, new_password="another password"
                ),
            ),
            "AdminService.SetUserRole": (
                self.admin,
                lambda: admin_pb2.SetUserRoleRequest(**bob, role=user_pb2.ROLE_MODERATOR),
            ),
            "AdminService.BanUser": (
                self.admin,
                lambda: admin_pb2.BanUserRequest(**bob, reason="spam"),
            ),
            "AdminService.UnbanUser": (self.admin, lambda: admin_pb2.UnbanUserRequest(**bob)),
            "AdminService.CreateServiceAccount": (
                self.admin,
                lambda: admin_pb2.CreateServiceAccountRequest(username="robot"),
            ),
            "AdminService.RotateSigningKey": (self.admin, admin_pb2.RotateSigningKeyRequest),
        }

    def heard(self, answer: Any) -> None:
        """Take from an answer what later requests need."""
        self.secret = getattr(answer, "secret", "") or self.secret
        self.codes = list(getattr(answer, "recovery_codes", ())) or self.codes


LINKS = {"CredentialService.VerifyEmail": 1, "CredentialService.ResetPassword": 2}
"""What takes the token of a letter, and of which that Ann gets."""


async def test_what_is_done_with_accounts_is_done_once(
    postgres: PostgresServer, losing: LostReplies
) -> None:
    async with user_standing(postgres) as stand:
        admin, ann, bob = [await stand.somebody() for _ in range(3)]
        await promote(stand.database_url, admin.email)
        await admin.login()
        office = Office(stand, admin, ann, bob)
        requests = office.requests()
        assert set(requests) == set(USER), "the contract has no other"
        for name, (caller, make) in requests.items():
            if name in LINKS:
                office.link = await stand.token_of_mail(ann.email, LINKS[name])
            request = make()
            request.request_id = str(uuid4())
            office.heard(
                await thrice(
                    stand.channel,
                    stand.database_url,
                    losing,
                    USER[name],
                    request,
                    caller.metadata,
                )
            )
        assert len(stand.mails(ann.email)) == 2, "each letter was sent once"
