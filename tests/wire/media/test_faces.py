"""Faces: real VP8 from aiortc to a stand-in that finds everybody happy, and what is told of that, and to whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from parley.ai.v1 import ai_pb2
from parley.media.v1 import media_pb2
from parley.signaling.v1 import signaling_pb2

from services.media import glimpse
from tests.analyses_stand import Analysed
from tests.media_room import until
from tests.media_stand import ALL, Member, RtcMember, Stand, standing
from tests.signaling_stand import random_room


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpse, "WHOLE_SECONDS", 0.5)


async def look_at(*members: Member, revision: int = 1) -> None:
    """Have the faces of members read, and of nobody else."""
    names = [member.name for member in members]
    told = media_pb2.SetAnalysisRequest(
        meeting=members[0].room, revision=revision, voice_activity=True, emotions=names
    )
    await members[0].call("SetAnalysis", told)


def looked_at(stand: Stand, member: Member) -> list[Analysed]:
    """The streams by which somebody's pictures went."""
    wanted = ai_pb2.ANALYSIS_FEATURE_EXPRESSIONS
    return [
        it
        for it in stand.analyses.streams
        if it.participant == member.name and wanted in it.features
    ]


def frames(stand: Stand, member: Member) -> int:
    return sum(len(stream.frames) for stream in looked_at(stand, member))


def told(stand: Stand, kind: str) -> list[signaling_pb2.Event]:
    return [event for event in stand.events.said if event.message.HasField(kind)]  # type: ignore[arg-type]  # a name of its


async def test_the_face_of_who_has_agreed_is_read_now_and_then_and_told_to_them_alone(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(2, video=True) as both:
        ann, bob = both
        await look_at(ann)
        await until(lambda: frames(stand, ann) >= 2, 60)
        assert looked_at(stand, bob) == []
        frame = looked_at(stand, ann)[0].frames[-1]
        assert (frame.width, frame.height) == (640, 480)
        assert len(frame.planes) == 640 * 480 * 3 // 2
        await until(lambda: len(told(stand, "emotion_detected")) >= 2)
        assert {each.participant for each in told(stand, "emotion_detected")} == {ann.name}
        happy = told(stand, "emotion_detected")[0].message.emotion_detected
        assert (happy.emotion, happy.confidence) == (ai_pb2.EMOTION_HAPPY, 0.75)
        assert told(stand, "room_mood") == []
        await ann.call(
            "SetAnalysis",
            media_pb2.SetAnalysisRequest(meeting=ann.room, revision=2, voice_activity=True),
        )
        await until(lambda: not looked_at(stand, ann)[-1].is_open)
        seen = frames(stand, ann)
        await ann.sees(100)
        assert frames(stand, ann) == seen


class Host(RtcMember):
    """A member who is told the room's mood."""

    async def publish(self, sdp: str) -> str:
        grants = media_pb2.MediaGrants(publish=ALL.publish, subscribe=True, room_mood=True)
        request = media_pb2.StartPeerRequest(participant=self.name, grants=grants)
        await self.call("StartPeer", request)
        offer = signaling_pb2.PublishOffer(sdp=sdp)
        answered = await self.call(
            "Publish", media_pb2.PublishRequest(participant=self.name, offer=offer)
        )
        return str(answered.answer.sdp)


async def test_the_mood_of_three_or_more_over_all_workers_is_told_to_hosts_alone(
    valkey: str, tmp_path: Path
) -> None:
    room = random_room()
    async with standing(valkey, tmp_path, "media-0", "media-1", max_peers_per_room=2) as stand:
        members = [Host(stand, room, video=True)]
        members += [RtcMember(stand, room, video=True) for _ in range(2)]  # type: ignore[misc]  # a Host is one
        async with stand.seated(members):
            places = await stand.places(room)
            assert sorted(places.values()) != ["media-0"] * 3
            assert len(set(places.values())) == 2
            await look_at(*members[:2])
            await until(lambda: all(frames(stand, each) >= 2 for each in members[:2]), 60)
            assert told(stand, "room_mood") == []
            await look_at(*members, revision=2)
            await until(lambda: len(told(stand, "room_mood")) >= 1, 60)
        for event in told(stand, "room_mood"):
            assert event.participant == members[0].name
            mood = event.message.room_mood
            assert mood.participant_count == 3
            assert dict(mood.shares) == {"happy": 0.75, "neutral": 0.25}
