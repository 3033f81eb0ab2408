"""What the LOAD_ variables in our scenarios stand for, and how each is made: by calling Parley, as anyone could.

ghz can neither sign in nor keep what one call answers for the next, so scenarios read tokens and names from the
environment. A maker is one call whose answer gives variables; what it needs itself is in its templates. Where the
server does not have the method, a name of the right form stands in, so that the scenario can be run all the same.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from loadtest.contract import contract
from loadtest.runner import Requests, open_channel
from loadtest.scenario import ROOT, Data, Scenario
from loadtest.templates import Filling, Template, call_fields

TIMEOUT_SECONDS = 20.0
AT_ONCE = 4
"""How many calls make the values of a pool at the same time."""
POOL = 20
"""How many values a pool has where nobody says otherwise."""
MOST_IN_POOL = 400
"""A meeting takes 500 people, and a variable of the environment 128 KiB."""

PROTOSET = ROOT / "gen" / "parley.binpb"
PASSWORD = f"load-{secrets.token_urlsafe(12)}"
AS_USER: Mapping[str, str] = {"authorization": "Bearer {{env `LOAD_TOKEN`}}"}
AS_ANOTHER: Mapping[str, str] = {"authorization": "Bearer {{env `LOAD_OTHER_TOKEN`}}"}
NEW_ACCOUNT = {
    "username": "load-{{randomString 16}}",
    "email": "{{newUUID}}@load.example.org",
    "password": "{{env `LOAD_PASSWORD`}}",
}
SIGN_IN = {
    "username_or_email": "{{env `LOAD_USERNAME`}}",
    "password": "{{env `LOAD_PASSWORD`}}",
}
MEETING = {"meeting": {"title": "Load {{randomString 8}}", "capacity": 500}}
PLANNED = {
    "meeting": {"title": "Load {{randomString 8}}"},
    "schedule": {
        "start_time": "2099-01-05T09:00:00Z",
        "time_zone": "Europe/Zurich",
        "recurrence": "FREQ=WEEKLY;BYDAY=MO",
    },
}
JOIN = {"name": "{{env `LOAD_MEETING`}}"}
JOIN_FIRST = {"name": "{{env `LOAD_NEW_MEETING`}}"}
CANCEL = {"name": "{{env `LOAD_UNWANTED_MEETING`}}"}
API_KEY = {
    "parent": "users/me",
    "api_key": {"display_name": "load", "scopes": ["API_KEY_SCOPE_MEETINGS_READ"]},
}
FILE: Data = [{"name": "load.txt", "body": {"content_type": "text/plain", "data": "bG9hZAo="}}]
JOIN_STREAM = {"message": {"join": {"ticket": "{{env `LOAD_TICKET`}}"}}}


class SetupError(Exception):
    """What a scenario needs can't be had. The text says what, and why."""


@dataclass(frozen=True, slots=True)
class Maker:
    """A call, and what its answer gives: variables by the path of a field, `user.name` or `sessions.0.name`.

    A pool is made of so many calls as the scenario makes, and is their values with commas between: for what can be used
    once. Without `stand_in`, a template for the first of `gives`, the server must have the method.
    """

    call: str
    data: Data
    gives: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=lambda: AS_USER)
    stand_in: str = ""
    pool: bool = False


USER, MEETINGS = "parley.user.v1", "parley.meeting.v1"
PUBLIC: Mapping[str, str] = {}
IN_MEETING = {"parent": "{{env `LOAD_MEETING`}}"}

MAKERS: Sequence[Maker] = (
    Maker(
        f"{USER}.AuthService.Register",
        NEW_ACCOUNT,
        {
            "LOAD_USER": "user.name",
            "LOAD_USERNAME": "user.username",
            "LOAD_TOKEN": "access_token",
        },
        PUBLIC,
    ),
    Maker(
        f"{USER}.AuthService.Register",
        NEW_ACCOUNT,
        {"LOAD_SPARE_USER": "user.name", "LOAD_SPARE_TOKEN": "access_token"},
        PUBLIC,
    ),
    Maker(
        f"{USER}.AuthService.Register",
        NEW_ACCOUNT,
        {"LOAD_OTHER_TOKEN": "access_token"},
        PUBLIC,
    ),
    Maker(
        f"{USER}.AuthService.Login",
        SIGN_IN,
        {"LOAD_REFRESH_TOKENS": "refresh_token"},
        PUBLIC,
        pool=True,
    ),
    Maker(
        f"{USER}.AuthService.Login",
        SIGN_IN,
        {"LOAD_SPARE_REFRESH_TOKEN": "refresh_token"},
        PUBLIC,
    ),
    Maker(
        f"{USER}.ApiKeyService.CreateApiKey",
        API_KEY,
        {"LOAD_API_KEY": "api_key.name"},
        stand_in="users/me/apiKeys/{{newUUID}}",
    ),
    Maker(
        f"{USER}.ApiKeyService.CreateApiKey",
        API_KEY,
        {"LOAD_API_KEY_SECRET": "secret"},
        stand_in="pk_{{randomString 43}}",
    ),
    Maker(
        f"{USER}.SessionService.ListSessions",
        {"parent": "users/me"},
        {"LOAD_SESSION": "sessions.0.name"},
        stand_in="users/me/sessions/{{newUUID}}",
    ),
    Maker(f"{MEETINGS}.MeetingService.CreateMeeting", MEETING, {"LOAD_NEW_MEETING": "name"}),
    Maker(f"{MEETINGS}.MeetingService.CreateMeeting", MEETING, {"LOAD_SPARE_MEETING": "name"}),
    Maker(f"{MEETINGS}.MeetingService.CreateMeeting", MEETING, {"LOAD_OTHER_MEETING": "name"}),
    Maker(f"{MEETINGS}.MeetingService.CreateMeeting", MEETING, {"LOAD_UNWANTED_MEETING": "name"}),
    Maker(f"{MEETINGS}.MeetingService.CancelMeeting", CANCEL, {"LOAD_CANCELLED_MEETING": "name"}),
    Maker(
        f"{MEETINGS}.MeetingService.JoinMeeting",
        JOIN_FIRST,
        {
            "LOAD_MEETING": "meeting.name",
            "LOAD_PARTICIPANT": "participant.name",
            "LOAD_TICKET": "ticket",
        },
    ),
    Maker(
        f"{MEETINGS}.MeetingService.JoinMeeting",
        JOIN,
        {"LOAD_OTHER_PARTICIPANT": "participant.name"},
        AS_ANOTHER,
    ),
    Maker(
        f"{MEETINGS}.MeetingService.JoinMeeting",
        JOIN,
        {"LOAD_SPARE_PARTICIPANT": "participant.name"},
        AS_ANOTHER,
    ),
    Maker(f"{MEETINGS}.MeetingService.JoinMeeting", JOIN, {"LOAD_TICKETS": "ticket"}, pool=True),
    Maker(
        "parley.signaling.v1.SignalingService.Subscribe",
        JOIN_STREAM,
        {"LOAD_SESSION_TOKEN": "joined.session_token"},
        PUBLIC,
    ),
    Maker(
        f"{MEETINGS}.PollService.CreatePoll",
        {**IN_MEETING, "poll": {"question": "Now?", "choices": [{"text": "Yes"}, {"text": "No"}]}},
        {"LOAD_POLL": "name"},
        stand_in="{{env `LOAD_MEETING`}}/polls/{{newUUID}}",
    ),
    Maker(
        f"{MEETINGS}.ChatService.CreateChatMessage",
        {**IN_MEETING, "chat_message": {"text": "Hello"}},
        {"LOAD_CHAT_MESSAGE": "name"},
        stand_in="{{env `LOAD_MEETING`}}/chatMessages/{{newUUID}}",
    ),
    Maker(
        f"{MEETINGS}.ScheduleService.ScheduleMeeting",
        PLANNED,
        {"LOAD_SCHEDULED_MEETING": "meeting.name"},
        stand_in="{{env `LOAD_MEETING`}}",
    ),
    Maker(
        f"{MEETINGS}.ScheduleService.CreateCalendarFeed",
        {},
        {"LOAD_CALENDAR_FEED": "name"},
        stand_in="calendarFeeds/{{randomString 43}}",
    ),
    Maker(
        f"{MEETINGS}.ScheduleService.CreateInvitations",
        {**IN_MEETING, "emails": ["{{newUUID}}@load.example.org"]},
        {"LOAD_INVITATION": "invitations.0.name"},
        stand_in="{{env `LOAD_MEETING`}}/invitations/{{newUUID}}",
    ),
    Maker(
        f"{MEETINGS}.WebhookService.CreateWebhook",
        {"webhook": {"uri": "https://load.example.org/"}},
        {"LOAD_WEBHOOK": "webhook.name"},
        stand_in="webhooks/{{newUUID}}",
    ),
    Maker(
        "parley.media.v1.LibraryService.UploadMedia",
        FILE,
        {"LOAD_MEDIA": "name"},
        stand_in="media/{{newUUID}}",
    ),
    Maker(
        "parley.media.v1.LibraryService.UploadMedia",
        FILE,
        {"LOAD_SPARE_MEDIA": "name"},
        stand_in="media/{{newUUID}}",
        pool=True,
    ),
    Maker(
        "parley.media.v1.RecordingService.StartRecording",
        IN_MEETING,
        {"LOAD_RECORDING": "name"},
        stand_in="{{env `LOAD_MEETING`}}/recordings/{{newUUID}}",
    ),
)

POOLS = frozenset(name for maker in MAKERS if maker.pool for name in maker.gives)
"""Variables of many values, each of which works once."""
GIVEN = frozenset({"LOAD_ADMIN_TOKEN"})
"""What nobody can make from outside."""


@dataclass(slots=True)
class Variables:
    """Makes variables at one host; `values` are those that there are, the environment's own first of all."""

    target: Scenario
    values: dict[str, str]
    pool: int = POOL
    held: list[Any] = field(default_factory=list)
    """Streams that are open, and must be for what they gave to stay good."""

    def __post_init__(self) -> None:
        self.values.setdefault("LOAD_PASSWORD", PASSWORD)

    async def provide(self, names: frozenset[str]) -> None:
        """See that variables have values. Raises SetupError."""
        for name in sorted(names - self.values.keys()):
            if name not in self.values:  # a maker may have given it beside another
                await self._provide(name)

    async def _provide(self, name: str) -> None:
        maker = next((each for each in MAKERS if name in each.gives), None)
        if maker is None:
            raise SetupError(f"The environment variable {name} is not set.{_advice(name)}")
        needed = maker_scenario(maker, self.target)
        method = contract(PROTOSET).method(maker.call)
        await self.provide(Requests(needed, method, {}).variables)
        await self.provide(Template.parse(maker.stand_in).variables)
        requests = Requests(needed, method, self.values)
        channel = open_channel(self.target)
        self.held.append(channel)
        room = asyncio.Semaphore(AT_ONCE)

        async def make(number: int) -> Mapping[str, str]:
            async with room:
                return await self._made(maker, requests, channel, number)

        count = self.pool if maker.pool else 1
        made = await asyncio.gather(*map(make, range(count)))
        for each in maker.gives:
            self.values[each] = ",".join(values[each] for values in made)

    async def _made(
        self, maker: Maker, requests: Requests, channel: grpc.aio.Channel, number: int
    ) -> Mapping[str, str]:
        prepared = requests.prepared(number, "setup")
        method = contract(PROTOSET).method(maker.call)
        kind = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
        }[method.streams_up, method.streams_down]
        start: Any = kind(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        what = iter(prepared.messages) if method.streams_up else prepared.messages[0]
        try:
            if method.streams_down:
                call = start(what, metadata=prepared.metadata)
                self.held.append(call)
                answer = await asyncio.wait_for(call.read(), TIMEOUT_SECONDS)
            else:
                answer = await start(what, timeout=TIMEOUT_SECONDS, metadata=prepared.metadata)
        except grpc.aio.AioRpcError as error:
            return self._stand_in(maker, error)
        except TimeoutError:
            raise SetupError(f"{maker.call} says nothing.") from None
        return {name: _at(answer, path) for name, path in maker.gives.items()}

    def _stand_in(self, maker: Maker, error: grpc.aio.AioRpcError) -> Mapping[str, str]:
        code = error.code()
        if code is not grpc.StatusCode.UNIMPLEMENTED or not maker.stand_in:
            hint = ""
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                hint = " For load, start the stack with ./parley up --no-rate-limits."
            what = f"{self.target.host}: {maker.call} answers {code.name}"
            raise SetupError(f"{what}: {error.details()}{hint}")
        filling = Filling(call_fields(0, "setup", {}), self.values)
        return {next(iter(maker.gives)): Template.parse(maker.stand_in).fill(filling)}

    async def close(self) -> None:
        """Let go of what is held."""
        for each in reversed(self.held):
            if isinstance(each, grpc.aio.Channel):
                await each.close()
            else:
                each.cancel()


def makeable() -> frozenset[str]:
    """List the variables that can be made."""
    return frozenset(name for maker in MAKERS for name in maker.gives) | {"LOAD_PASSWORD"}


def maker_scenario(maker: Maker, target: Scenario) -> Scenario:
    """Show a maker as a scenario of one call."""
    return Scenario(
        Path(f"({next(iter(maker.gives))})"),
        maker.call,
        host=target.host,
        insecure=target.insecure,
        data=maker.data,
        metadata=maker.metadata,
        total=1,
    )


def _advice(name: str) -> str:
    if name in GIVEN:
        return " It is an administrator's access token, which can't be made here: set it, or give --token."
    return " It can't be made here."


def _at(answer: Any, path: str) -> str:
    """Get a field of an answer. Raises SetupError when there is nothing."""
    document: Any = json.loads(json_format.MessageToJson(answer, preserving_proto_field_name=True))
    for step in path.split("."):
        try:
            document = document[int(step) if step.isdecimal() else step]
        except (KeyError, IndexError):
            raise SetupError(f"The answer {type(answer).__name__} has no {path}.") from None
    return str(document)


__all__ = ["MOST_IN_POOL", "POOL", "POOLS", "SetupError", "Variables", "makeable"]
