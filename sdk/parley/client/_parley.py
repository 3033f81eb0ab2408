"""A signed-in client of one server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from parley.client._calls import Calls, interceptors
from parley.client._credentials import Credentials, meeting_name
from parley.client._endpoint import Endpoint
from parley.client._errors import ParleyError
from parley.client._lobby import let_in
from parley.client._pages import pages
from parley.client._retries import Retries
from parley.client._room import Admission, Room
from parley.client._services import Services
from parley.client._session import Session
from parley.meeting.v1 import meeting_pb2

DEADLINE_SECONDS = 30.0
BUFFERED_EVENTS = 1_000
PATIENCE_SECONDS = 120.0

_Request = TypeVar("_Request", bound=Message)


class Parley(Services):
    """What `Parley.connect` gives: every service's stub as an attribute, and rooms to join.

    Calls of the stubs get the token, a deadline, and a `request_id` where they can have one; they are made again where
    that can do no harm; they fail with ParleyError. What is asked of `grpc.aio` is what its stubs take and give.
    """

    def __init__(self, channel: grpc.aio.Channel, signaling: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._signaling_channel = signaling

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        credentials: Credentials,
        roots: bytes | None = None,
        plain: bool = False,
        timeout: float = DEADLINE_SECONDS,
        retries: Retries | None = None,
    ) -> AsyncIterator[Parley]:
        """Sign in at https://host[:port], and out again at the end.

        `roots` are PEM certificates to trust instead of the machine's; `plain` allows http:// to other machines; `timeout`
        is each call's deadline in seconds, all its attempts together. Raises ParleyError, and ValueError for a bad address.
        """
        endpoint = Endpoint.at(url, roots=roots, plain=plain)
        session = Session(credentials)
        calls = Calls(session, retries or Retries(), timeout)
        async with (
            endpoint.channel(interceptors(calls)) as channel,
            endpoint.channel() as signaling,
        ):
            await session.begin(channel)
            try:
                yield cls(channel, signaling)
            finally:
                with suppress(ParleyError):  # a session that can't be ended here ends by itself
                    await session.end()

    @asynccontextmanager
    async def join(
        self,
        meeting: str,
        *,
        name: str = "",
        passcode: str = "",
        buffer: int = BUFFERED_EVENTS,
        patience: float = PATIENCE_SECONDS,
    ) -> AsyncIterator[Room]:
        """Join a meeting by its code, name or link, and leave it at the end; in the lobby, wait to be let in.

        `buffer` is how many events are kept for those who read them. The conversation is taken up where it broke off;
        when the server is away for longer than `patience`, in seconds, the room ends. Raises ParleyError.
        """
        request = meeting_pb2.JoinMeetingRequest(
            name=meeting_name(meeting), display_name=name, passcode=passcode
        )
        admit = partial(self._admit, request)
        room = Room(self, self._signaling_channel, admit, buffer, patience)
        try:
            await room.enter()
            yield room
        finally:
            await room.leave()

    def pages(
        self, method: Callable[[_Request], Awaitable[Message]], request: _Request
    ) -> AsyncIterator[Any]:
        """Give all the items of a list method: `async for meeting in parley.pages(parley.meetings.ListMeetings, request)`."""
        return pages(method, request)

    async def _admit(self, request: meeting_pb2.JoinMeetingRequest) -> Admission:
        admission = await self.meetings.JoinMeeting(request)
        return admission if admission.ticket else await let_in(self, admission.participant.name)


__all__ = ["Parley"]
