"""Pictures, exports and deletions over real gRPC, with stand-ins for the services that have the rest."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import psycopg
import pytest
from google.api.httpbody_pb2 import HttpBody
from parley.media.v1 import library_pb2, library_pb2_grpc
from parley.meeting.v1 import (
    meeting_pb2,
    meeting_pb2_grpc,
    person_pb2,
    person_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from parley.user.v1 import account_pb2, account_pb2_grpc, admin_pb2, user_pb2
from PIL import Image

from services.user.accounts.avatars import SIDE
from services.user.accounts.export import AUDIT_PAGE
from tests.conftest import DatabaseFactory
from tests.user_stand import PASSWORD, Person, Stand, refusal, stand_with

PATIENCE_SECONDS = 20


class Elsewhere(
    meeting_pb2_grpc.MeetingServiceServicer,
    person_pb2_grpc.PersonServiceServicer,
    webhook_pb2_grpc.WebhookServiceServicer,
    library_pb2_grpc.LibraryServiceServicer,
):
    """The meeting and media services: each person has 120 files and two meetings, of which they host one."""

    def __init__(self) -> None:
        self.files = [f"media/{number}" for number in range(120)]
        self.ended: list[str] = []
        self.deleted: list[str] = []
        self.webhooks = ["webhooks/3974e7b3-5946-4df5-bed3-8c3dc9a0be19"]
        self.asked: list[tuple[str, str]] = []
        self.forgotten: list[tuple[str, str]] = []
        self.fails = 0
        self.done = asyncio.Event()
        self.left: asyncio.Queue[str] = asyncio.Queue()

    async def _caller(self, context: Any, scope: str) -> str:
        metadata = dict(context.invocation_metadata())
        token = metadata["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["scope"] == scope
        if self.fails:
            self.fails -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return str(claims["sub"])

    async def ListMedia(self, request: Any, context: Any) -> library_pb2.ListMediaResponse:
        await self._caller(context, "media.read")
        begin = int(request.page_token or 0)
        shown = self.files[begin : begin + request.page_size]
        more = begin + len(shown)
        return library_pb2.ListMediaResponse(
            media=[library_pb2.Media(name=name, display_name="../a b.txt") for name in shown],
            next_page_token=str(more) if more < len(self.files) else "",
        )

    async def DownloadMedia(self, request: Any, context: Any) -> AsyncIterator[HttpBody]:
        await self._caller(context, "media.read")
        for piece in (b"content of ", request.name.encode()):
            yield HttpBody(data=piece)

    async def DeleteMedia(self, request: Any, context: Any) -> Any:
        await self._caller(context, "media.write")
        self.files.remove(request.name)
        return library_pb2.DeleteMediaResponse()

    async def ListWebhooks(self, request: Any, context: Any) -> webhook_pb2.ListWebhooksResponse:
        await self._caller(context, "events")
        shown = [webhook_pb2.Webhook(name=name) for name in self.webhooks]
        return webhook_pb2.ListWebhooksResponse(webhooks=shown)

    async def DeleteWebhook(self, request: Any, context: Any) -> webhook_pb2.DeleteWebhookResponse:
        await self._caller(context, "events")
        self.webhooks.remove(request.name)
        return webhook_pb2.DeleteWebhookResponse()

    async def ListMeetings(self, request: Any, context: Any) -> Any:
        me = await self._caller(context, "meetings.read")
        active = meeting_pb2.MEETING_STATE_ACTIVE
        mine = meeting_pb2.Meeting(name="meetings/aaa-aaaa-aaa", host=me, title="Mine")
        other = meeting_pb2.Meeting(name="meetings/bbb-bbbb-bbb", title="Theirs", state=active)
        return meeting_pb2.ListMeetingsResponse(meetings=[mine, other])

    async def LeaveMeeting(self, request: Any, context: Any) -> meeting_pb2.LeaveMeetingResponse:
        await self._caller(context, "meetings.write")
        self.left.put_nowait(request.name)
        return meeting_pb2.LeaveMeetingResponse()

    async def EndMeeting(self, request: Any, context: Any) -> meeting_pb2.Meeting:
        await self._caller(context, "meetings.write")
        self.ended.append(request.name)
        return meeting_pb2.Meeting()

    async def DeleteMeeting(self, request: Any, context: Any) -> Any:
        await self._caller(context, "meetings.write")
        self.deleted.append(request.name)
        return meeting_pb2.DeleteMeetingResponse()

    async def ReadPerson(
        self, request: Any, context: Any
    ) -> AsyncIterator[person_pb2.ReadPersonResponse]:
        self.asked.append((request.user, request.verified_email))
        for texts in (["one", "two"], ["three"]):
            page = person_pb2.ReadPersonResponse(kind="chat_messages")
            for text in texts:
                page.records.add().update({"text": text})
            yield page
        yield person_pb2.ReadPersonResponse(kind="bans")

    async def ForgetPerson(self, request: Any, context: Any) -> person_pb2.ForgetPersonResponse:
        self.forgotten.append((request.user, request.verified_email))
        self.done.set()
        return person_pb2.ForgetPersonResponse()


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[Elsewhere, str]]:
    it, mesh = Elsewhere(), grpc.aio.server()
    meeting_pb2_grpc.add_MeetingServiceServicer_to_server(it, mesh)
    person_pb2_grpc.add_PersonServiceServicer_to_server(it, mesh)
    webhook_pb2_grpc.add_WebhookServiceServicer_to_server(it, mesh)
    library_pb2_grpc.add_LibraryServiceServicer_to_server(it, mesh)
    port = mesh.add_insecure_port("127.0.0.1:0")
    await mesh.start()
    yield it, f"127.0.0.1:{port}"
    await mesh.stop(None)


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, elsewhere: tuple[Elsewhere, str]
) -> AsyncIterator[Stand]:
    async with stand_with(database("user"), tmp_path, mesh=elsewhere[1]) as it:
        yield it


def png(colour: str = "red") -> HttpBody:
    made = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(made, "PNG")
    return HttpBody(content_type="image/png", data=made.getvalue())


async def set_avatar(person: Person, image: HttpBody, name: str = "users/me") -> None:
    await person.account("SetAvatar", account_pb2.SetAvatarRequest(name=name, image=image))


async def avatar(person: Person, name: str) -> HttpBody:
    answer: HttpBody = await person.account("GetAvatar", account_pb2.GetAvatarRequest(name=name))
    return answer


async def test_others_see_a_picture_until_it_is_removed(stand: Stand) -> None:
    ann, bob = await stand.person(), await stand.person("bob")
    assert await refusal(avatar(bob, ann.name)) == "AVATAR_NOT_FOUND"
    for colour in ("red", "blue"):
        await set_avatar(ann, png(colour))
    shown = await avatar(bob, ann.name)
    assert shown.content_type == "image/webp"
    image = Image.open(io.BytesIO(shown.data)).convert("RGB")
    assert image.size == (SIDE, SIDE)
    assert image.getpixel((0, 0))[2] > 200  # type: ignore[index]
    assert await refusal(set_avatar(bob, png(), ann.name)) == "NOT_YOURS"
    remove = account_pb2.DeleteAvatarRequest(name=ann.name)
    assert await refusal(bob.account("DeleteAvatar", remove)) == "NOT_YOURS"
    for _ in range(2):
        await ann.account("DeleteAvatar", remove)
    assert await refusal(avatar(bob, ann.name)) == "AVATAR_NOT_FOUND"
    nobody = "users/00000000-0000-0000-0000-000000000000"
    assert await refusal(avatar(bob, nobody)) == "USER_NOT_FOUND"


async def test_what_is_no_picture_is_refused_and_the_old_one_stays(stand: Stand) -> None:
    ann = await stand.person()
    await set_avatar(ann, png())
    lie = HttpBody(content_type="image/png", data=b"<svg onload=alert(1)>")
    assert await refusal(set_avatar(ann, lie)) == "IMAGE_INVALID"
    assert (await avatar(ann, "users/me")).data


async def exported(person: Person, name: str = "users/me") -> zipfile.ZipFile:
    stub: Any = account_pb2_grpc.AccountServiceStub(person.channel)
    request = account_pb2.ExportAccountRequest(name=name)
    metadata = (("authorization", f"Bearer {person.token}"),)
    pieces = [piece async for piece in stub.ExportAccount(request, metadata=metadata)]
    assert {piece.content_type for piece in pieces} == {"application/zip"}
    assert max(len(piece.data) for piece in pieces) <= 64 * 1024
    return zipfile.ZipFile(io.BytesIO(b"".join(piece.data for piece in pieces)))


async def test_an_export_has_everything_and_no_secrets(stand: Stand) -> None:
    ann, bob = await stand.person(), await stand.person("bob")
    await set_avatar(ann, png())
    archive = await exported(ann)
    assert archive.testzip() is None
    (account,) = json.loads(archive.read("account.json"))
    assert account["email"] == ann.email
    assert len(json.loads(archive.read("sessions.json"))) == 1
    assert archive.read("avatar.webp")
    assert [each["title"] for each in json.loads(archive.read("meetings.json"))] == [
        "Mine",
        "Theirs",
    ]
    said = [each["text"] for each in json.loads(archive.read("chat_messages.json"))]
    assert said == ["one", "two", "three"]
    assert json.loads(archive.read("bans.json")) == []
    assert len(json.loads(archive.read("files.json"))) == 120
    files = [name for name in archive.namelist() if name.startswith("files/")]
    assert len(set(files)) == 120
    assert "files/7-.._a_b.txt" in files
    assert archive.read("files/7-.._a_b.txt") == b"content of media/7"
    whole = b"".join(archive.read(name) for name in archive.namelist())
    for secret in (b"argon2", b"hash", bob.email.encode()):
        assert secret not in whole
    assert await refusal(exported(ann, bob.name)) == "NOT_YOURS"


async def test_an_address_is_somebody_s_once_they_have_proven_it(
    stand: Stand, elsewhere: tuple[Elsewhere, str]
) -> None:
    ann, bob = await stand.person(), await stand.person("bob")
    there, _ = elsewhere
    await prove(stand, bob)
    for person in (ann, bob):
        await exported(person)
        await delete(person)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await there.done.wait()
        there.done.clear()
    assert there.asked == there.forgotten == [(ann.name, ""), (bob.name, bob.email)]


async def prove(stand: Stand, person: Person) -> None:
    """Make a person's address proven, as the link in a letter does."""
    url = stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        verify = "UPDATE users SET email_verified = true WHERE email = %s"
        await connection.execute(verify, (person.email,))


async def test_a_long_past_is_exported_page_by_page(stand: Stand) -> None:
    ann = await stand.person()
    url, count = stand.database_url.replace("+psycopg", ""), 2 * AUDIT_PAGE + 1
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "INSERT INTO audit_events SELECT gen_random_uuid(), now(), %s, 'a.b', i::text, '{}'"
            " FROM generate_series(1, %s) AS i",
            (ann.name, count),
        )
    events = json.loads((await exported(ann)).read("audit_events.json"))
    assert len({each["subject"] for each in events if each["action"] == "a.b"}) == count


async def delete(person: Person, password: str = PASSWORD, name: str = "users/me") -> None:
    request = account_pb2.DeleteAccountRequest(name=name, password=password)
    await person.account("DeleteAccount", request)


async def test_a_deleted_account_is_gone_and_what_it_had_elsewhere_follows(
    stand: Stand, elsewhere: tuple[Elsewhere, str]
) -> None:
    admin, ann = await stand.admin(), await stand.person()
    there, _ = elsewhere
    there.fails = 2
    assert await refusal(delete(ann, "a wrong guess")) == "WRONG_CREDENTIALS"
    assert await refusal(delete(ann, PASSWORD, admin.name)) == "NOT_YOURS"
    await delete(ann)
    assert await refusal(ann.refreshed()) == "REFRESH_TOKEN_INVALID"
    assert await refusal(ann.signed_in()) == "WRONG_CREDENTIALS"
    get = user_pb2.GetUserRequest(name=ann.name)
    assert await refusal(admin.users("GetUser", get)) == "USER_NOT_FOUND"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await there.done.wait()
    assert there.files == []
    assert not there.webhooks
    assert there.ended == there.deleted == ["meetings/aaa-aaaa-aaa"], "what others host is theirs"
    again = user_pb2.RegisterRequest(username=ann.username, email=ann.email, password=PASSWORD)
    await stand.nobody.auth("Register", again)


async def test_a_password_is_not_to_be_guessed_by_deleting(stand: Stand) -> None:
    ann = await stand.person()
    answers = [await refusal(delete(ann, f"guess {number}")) for number in range(20)]
    assert answers[0] == "WRONG_CREDENTIALS"
    assert answers[-1] == "TOO_MANY_SIGN_INS"


async def test_a_ban_takes_somebody_out_of_the_calls_that_they_are_in(
    stand: Stand, elsewhere: tuple[Elsewhere, str]
) -> None:
    admin, ann = await stand.admin(), await stand.person()
    there, _ = elsewhere
    for _ in range(2):
        await admin.admin("BanUser", admin_pb2.BanUserRequest(name=ann.name))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await there.left.get() == "meetings/bbb-bbbb-bbb"
        await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=ann.name))
    assert (there.ended, there.deleted, len(there.files)) == ([], [], 120)


async def test_the_last_admin_stays(stand: Stand) -> None:
    admin = await stand.admin()
    assert await refusal(delete(admin)) == "LAST_ADMIN"
    second = await stand.admin("second")
    await delete(admin)
    request = admin_pb2.ListAuditEventsRequest(action="user.delete")
    (event,) = (await second.admin("ListAuditEvents", request)).audit_events
    assert event.subject == admin.name


async def test_a_deletion_outlives_the_process_that_took_it(
    database: DatabaseFactory, tmp_path: Path, elsewhere: tuple[Elsewhere, str]
) -> None:
    there, address = elsewhere
    url = database("user")
    async with stand_with(url, tmp_path / "first", mesh="127.0.0.1:1") as first:
        await delete(await first.person())
    assert there.files
    async with stand_with(url, tmp_path / "second", mesh=address), asyncio.timeout(60):
        await there.done.wait()
    assert there.files == []
