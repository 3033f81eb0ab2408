"""What the host switches on and people agree to reaches media, the room and the audit log: real Postgres, real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis import channels
from tests.conftest import DatabaseFactory
from tests.meeting_stand import Stand, stand_with


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path, emotions=True):
        yield it


async def test_media_follows_what_the_host_switches_and_people_agree_to(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True, language_code="en")
    told = await stand.analysis(captions=[ann])
    assert told.recognition.language_code == "en"
    bob = await guest.join(meeting)
    await stand.analysis(captions=[ann, bob])
    await guest.agree(bob, captions_declined=True)
    later = await stand.analysis(captions=[ann])
    assert later.revision > told.revision
    await host.switch(meeting, emotions=True)
    await guest.agree(bob, captions_declined=True, emotions=True)
    await stand.analysis(captions=[ann], emotions=[bob])
    await host.switch(meeting, captions=False, emotions=False)
    await stand.analysis(captions=[], emotions=[])


async def test_a_room_that_begins_hears_the_same(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True, transcript=True)
    told = await stand.analysis(captions=[ann])
    stub: Any = transcript_pb2_grpc.CaptionServiceStub(stand.channel)
    found = await stub.GetAnalysis(transcript_pb2.GetAnalysisRequest(meeting=meeting))
    assert (found.revision, list(found.captions)) == (told.revision, [ann])
    assert found.transcript


async def test_media_that_is_away_for_a_moment_is_told_again(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    stand.neighbours.fails = 2
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True)
    await stand.analysis(captions=[ann])


async def test_everybody_in_the_room_is_told_of_the_switch(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True)
    (event,) = stand.neighbours.events
    assert event.participant == ""
    assert event.message.settings_changed.settings.captions
    await host.switch(meeting, captions=True)  # as it is
    assert len(stand.neighbours.events) == 1


async def test_switches_and_consents_come_to_the_audit_log_once(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True, transcript=True)
    ann = await host.join(meeting)
    await host.agree(ann, transcript=True)
    told = {await stand.audited() for _ in range(3)}
    assert told == {"captions.enable", "transcript.enable", "consent.give"}
    await host.agree(ann)
    assert await stand.audited() == "consent.withdraw"
    assert stand.neighbours.audited.empty()


async def test_who_comes_back_has_agreed_to_what_they_agreed_to(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True)
    first = await host.join(meeting)
    await host.agree(first, captions_declined=True)
    second = await host.join(meeting)
    assert first != second
    stub: Any = transcript_pb2_grpc.CaptionServiceStub(stand.channel)
    found = await stub.GetAnalysis(transcript_pb2.GetAnalysisRequest(meeting=meeting))
    assert list(found.captions) == []


async def test_consent_is_ones_own(stand: Stand) -> None:
    host, other = stand.person(), stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await other.agree(ann, emotions=True)
    assert channels.reason(caught.value) == "PARTICIPANT_NOT_FOUND"


async def test_without_the_operators_policy_no_face_is_read(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    async for stand in stand_with(database, tmp_path):
        host = stand.person()
        meeting = await host.create()
        ann = await host.join(meeting)
        for call in (host.switch(meeting, emotions=True), host.agree(ann, emotions=True)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert channels.reason(caught.value) == "EMOTIONS_NOT_ALLOWED"
