"""The other services, as the user service speaks to them: in somebody's name, with a token for what has to be done.

A person's token would not do: who exports much outlives it, and who is deleted has none any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.message import Message
from parley.media.v1 import library_pb2, library_pb2_grpc
from parley.meeting.v1 import (
    meeting_pb2,
    meeting_pb2_grpc,
    person_pb2,
    person_pb2_grpc,
    settings_pb2,
    settings_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)

from chassis import scopes
from chassis.channels import relayed
from chassis.clock import Clock
from services.user.domain import Role
from services.user.sessions.tokens import AccessTokens

PAGE_SIZE = 100
LIFETIME = timedelta(minutes=1)

Metadata = Sequence[tuple[str, str]]


class Neighbours:
    """The meeting and media services. Its methods raise what those answer."""

    def __init__(self, mesh: grpc.aio.Channel, tokens: AccessTokens, clock: Clock) -> None:
        self._meetings = meeting_pb2_grpc.MeetingServiceStub(mesh)
        self._settings = settings_pb2_grpc.SettingsServiceStub(mesh)
        self._persons = person_pb2_grpc.PersonServiceStub(mesh)
        self._webhooks = webhook_pb2_grpc.WebhookServiceStub(mesh)
        self._library = library_pb2_grpc.LibraryServiceStub(mesh)
        self._tokens = tokens
        self._clock = clock

    async def lets_guests_in(self, meeting: str, guest_token: str) -> bool:
        """Ask, as a guest of the meeting, whether it lets guests in."""
        request = settings_pb2.GetSettingsRequest(name=f"{meeting}/settings")
        settings = await _answer(self._settings.GetSettings, request, _bearer(guest_token))
        return bool(settings.guests_allowed)

    async def meetings(self, user_id: UUID) -> AsyncIterator[meeting_pb2.Meeting]:
        """List the meetings that a user hosts or has joined."""
        token = ""
        while True:
            request = meeting_pb2.ListMeetingsRequest(page_size=PAGE_SIZE, page_token=token)
            credentials = self._credentials(user_id, scopes.MEETINGS_READ)
            page = await _answer(self._meetings.ListMeetings, request, credentials)
            for meeting in page.meetings:
                yield meeting
            if not (token := page.next_page_token):
                return

    async def media(self, user_id: UUID) -> AsyncIterator[library_pb2.Media]:
        """List a user's files."""
        token = ""
        while True:
            request = library_pb2.ListMediaRequest(page_size=PAGE_SIZE, page_token=token)
            credentials = self._credentials(user_id, scopes.MEDIA_READ)
            page = await _answer(self._library.ListMedia, request, credentials)
            for media in page.media:
                yield media
            if not (token := page.next_page_token):
                return

    async def download(self, user_id: UUID, name: str) -> AsyncIterator[bytes]:
        """Read a user's file."""
        request = library_pb2.DownloadMediaRequest(name=name)
        credentials = self._credentials(user_id, scopes.MEDIA_READ)
        try:
            async for piece in self._library.DownloadMedia(request, metadata=credentials):
                yield piece.data
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def person(
        self, user_id: UUID, verified_email: str
    ) -> AsyncIterator[person_pb2.ReadPersonResponse]:
        """Read what meetings keep of a user, and of the address that they have proven, page by page."""
        request = person_pb2.ReadPersonRequest(
            user=f"users/{user_id}", verified_email=verified_email
        )
        try:
            async for page in self._persons.ReadPerson(request):
                yield page
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def leave(self, user_id: UUID) -> None:
        """Take a user out of the meetings that they are in."""
        active = meeting_pb2.MEETING_STATE_ACTIVE
        for name in [each.name async for each in self.meetings(user_id) if each.state == active]:
            request = meeting_pb2.LeaveMeetingRequest(name=name)
            credentials = self._credentials(user_id, scopes.MEETINGS_WRITE)
            await _gone(self._meetings.LeaveMeeting, request, credentials)

    async def forget(self, user_id: UUID, verified_email: str) -> None:
        """Delete a user's files, their webhooks, the meetings that they host, and what they left in those of others."""
        for media in [each async for each in self.media(user_id)]:
            deletion = library_pb2.DeleteMediaRequest(name=media.name)
            credentials = self._credentials(user_id, scopes.MEDIA_WRITE)
            await _gone(self._library.DeleteMedia, deletion, credentials)
        await self._forget_webhooks(user_id)
        hosted = [each async for each in self.meetings(user_id) if each.host == f"users/{user_id}"]
        for meeting in hosted:
            credentials = self._credentials(user_id, scopes.MEETINGS_WRITE)
            end = meeting_pb2.EndMeetingRequest(name=meeting.name, for_good=True)
            await _gone(self._meetings.EndMeeting, end, credentials)
            delete = meeting_pb2.DeleteMeetingRequest(name=meeting.name)
            await _gone(self._meetings.DeleteMeeting, delete, credentials)
        person = person_pb2.ForgetPersonRequest(
            user=f"users/{user_id}", verified_email=verified_email
        )
        await _answer(self._persons.ForgetPerson, person, ())

    async def _forget_webhooks(self, user_id: UUID) -> None:
        request = webhook_pb2.ListWebhooksRequest(page_size=PAGE_SIZE)  # nobody has more
        credentials = self._credentials(user_id, scopes.EVENTS)
        found = await _answer(self._webhooks.ListWebhooks, request, credentials)
        for webhook in found.webhooks:
            deletion = webhook_pb2.DeleteWebhookRequest(name=webhook.name)
            await _gone(self._webhooks.DeleteWebhook, deletion, credentials)

    def _credentials(self, user_id: UUID, *allowed: str) -> Metadata:
        claims = {
            "sub": f"users/{user_id}",
            "sid": "",
            "role": Role.USER.value,
            "name": "",
            "scope": " ".join(allowed),
        }
        return _bearer(self._tokens.sign(claims, self._clock.now(), LIFETIME))


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def _answer(method: Any, request: Message, credentials: Metadata) -> Any:
    try:
        return await method(request, metadata=credentials)
    except grpc.aio.AioRpcError as error:
        raise relayed(error) from error


async def _gone(method: Any, request: Message, credentials: Metadata) -> None:
    """Have something done that may be done already."""
    try:
        await method(request, metadata=credentials)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise relayed(error) from error


__all__ = ["Neighbours"]
