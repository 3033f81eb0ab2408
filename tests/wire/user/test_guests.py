"""Guests: a user and a meeting service, side by side, that know each other through a mesh of two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc, settings_pb2, settings_pb2_grpc
from parley.user.v1 import sign_in_pb2, user_pb2

from chassis import channels
from chassis.auth import ServiceIdentity
from services.meeting.app import running as meeting_running
from services.meeting.config import Config as MeetingConfig
from tests.conftest import DatabaseFactory
from tests.identities import make_identities
from tests.user_stand import Caller, Person, Stand, refusal, stand_with


class Passing(grpc.GenericRpcHandler):
    """A mesh: passes unary calls on to the service whose package they are of."""

    def __init__(self) -> None:
        self.ways: dict[str, grpc.aio.Channel] = {}

    def service(self, details: Any) -> Any:
        way = self.ways[details.method.split(".")[1]]

        async def pass_on(request: bytes, context: Any) -> bytes:
            metadata = [
                (key, value)
                for key, value in context.invocation_metadata()
                if key in ("authorization", "x-parley-service-token")
            ]
            try:
                call: Any = way.unary_unary(details.method)
                return bytes(await call(request, metadata=metadata))
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata() or ())
                await context.abort(error.code(), error.details() or "", trailing)
                raise

        return grpc.unary_unary_rpc_method_handler(pass_on)


@dataclass
class Both:
    users: Stand
    meetings: grpc.aio.Channel

    async def guest(self, meeting: str, display_name: str = "Gus") -> Any:
        request = sign_in_pb2.CreateGuestSessionRequest(meeting=meeting, display_name=display_name)
        return await self.users.nobody.sign_in("CreateGuestSession", request)

    async def meeting(self, host: Person) -> str:
        request = meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Open"))
        return str((await self.call(host, "CreateMeeting", request)).name)

    async def let_guests_in(self, host: Person, meeting: str, *, allowed: bool) -> None:
        settings = settings_pb2.Settings(name=f"{meeting}/settings", guests_allowed=allowed)
        request = settings_pb2.UpdateSettingsRequest(settings=settings)
        request.update_mask.paths.append("guests_allowed")
        caller = Caller(self.meetings, host.token)
        await caller.call(settings_pb2_grpc.SettingsServiceStub, "UpdateSettings", request)

    async def call(self, caller: Caller, method: str, request: Any) -> Any:
        return await Caller(self.meetings, caller.token).call(
            meeting_pb2_grpc.MeetingServiceStub, method, request
        )


@asynccontextmanager
async def both_with(database: DatabaseFactory, folder: Path) -> AsyncIterator[Both]:
    passing, mesh = Passing(), grpc.aio.server()
    mesh.add_generic_rpc_handlers((passing,))
    address = f"127.0.0.1:{mesh.add_insecure_port('127.0.0.1:0')}"
    await mesh.start()
    identities = make_identities(folder / "meeting")
    config = MeetingConfig(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        mesh=address,
        trust=identities / "trust.jwks",
        service_key=identities / "meeting.key",
        drain_seconds=0,
        database_url=database("meeting"),
    )
    identity = ServiceIdentity.load(config, "meeting")
    async with (
        stand_with(database("user"), folder / "user", mesh=address) as users,
        meeting_running(config) as server,
        channels.direct(f"127.0.0.1:{server.port}", identity) as meetings,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as to_meeting,
        grpc.aio.insecure_channel(users.address) as to_user,
    ):
        passing.ways = {"meeting": to_meeting, "user": to_user}
        yield Both(users, meetings)
    await mesh.stop(None)


@pytest.fixture
async def both(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Both]:
    async with both_with(database, tmp_path) as it:
        yield it


async def test_guests_come_where_the_host_lets_them_and_join_that_meeting_alone(
    both: Both,
) -> None:
    ann = await both.users.person()
    meeting, other = await both.meeting(ann), await both.meeting(ann)
    assert await refusal(both.guest(meeting)) == "GUESTS_NOT_ALLOWED"
    await both.let_guests_in(ann, meeting, allowed=True)
    answer = await both.guest(meeting, "  Gus  ")
    assert (answer.user.role, answer.user.display_name) == (user_pb2.ROLE_GUEST, "Gus")
    gus = Caller(both.users.channel, answer.access_token)
    joined = await both.call(gus, "JoinMeeting", meeting_pb2.JoinMeetingRequest(name=meeting))
    assert (joined.participant.user, joined.participant.display_name) == (answer.user.name, "Gus")
    await both.let_guests_in(ann, other, allowed=True)
    for method, request in (
        ("JoinMeeting", meeting_pb2.JoinMeetingRequest(name=other)),
        ("GetMeeting", meeting_pb2.GetMeetingRequest(name=other)),
        ("EndMeeting", meeting_pb2.EndMeetingRequest(name=meeting)),
        ("ListMeetings", meeting_pb2.ListMeetingsRequest()),
        (
            "CreateMeeting",
            meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Mine")),
        ),
    ):
        assert await refusal(both.call(gus, method, request)) == "NOT_FOR_GUESTS"
    me = user_pb2.GetUserRequest(name="users/me")
    assert await refusal(gus.users("GetUser", me)) == "NOT_FOR_GUESTS"


async def test_guests_are_refused_once_the_host_wants_no_more(both: Both) -> None:
    ann = await both.users.person()
    meeting = await both.meeting(ann)
    await both.let_guests_in(ann, meeting, allowed=True)
    gus = Caller(both.users.channel, (await both.guest(meeting)).access_token)
    await both.let_guests_in(ann, meeting, allowed=False)
    join = meeting_pb2.JoinMeetingRequest(name=meeting)
    assert await refusal(both.call(gus, "JoinMeeting", join)) == "GUESTS_NOT_ALLOWED"
    await both.call(ann, "JoinMeeting", join)


async def test_a_guest_s_time_is_bounded_and_names_and_codes_are_checked(both: Both) -> None:
    ann = await both.users.person()
    meeting = await both.meeting(ann)
    await both.let_guests_in(ann, meeting, allowed=True)
    answer = await both.guest(meeting)
    claims = jwt.decode(answer.access_token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == answer.expires_in == both.users.config.guest_seconds
    assert await refusal(both.guest(meeting, "   ")) == "INVALID_ARGUMENT"
    assert await refusal(both.guest("meetings/zzz-zzzz-zzz")) == "MEETING_NOT_FOUND"
