"""Captions: real sound from aiortc to a scripted recogniser and back to the room, through workers on a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from parley.ai.v1 import ai_pb2
from parley.media.v1 import media_pb2, node_pb2
from parley.meeting.v1 import transcript_pb2
from parley.signaling.v1 import signaling_pb2

from chassis import channels
from tests.analyses_stand import SPEECH, are_unbroken, numbers
from tests.media_room import until
from tests.media_stand import Member, RtcMember, Stand, standing
from tests.user_keys import credentials

VOICE = ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY


def request(room: str, revision: int, **what: Any) -> media_pb2.SetAnalysisRequest:
    return media_pb2.SetAnalysisRequest(meeting=room, revision=revision, **what)


async def caption(room: str, revision: int, *members: Member, **what: Any) -> None:
    """Have members' speech recognised, as the meeting service says it to whichever worker answers."""
    names = [member.name for member in members]
    told = request(room, revision, captions=names, voice_activity=True, **what)
    await members[0].call("SetAnalysis", told)


def captions(stand: Stand, member: Member) -> list[signaling_pb2.Caption]:
    """What the room was told that somebody says."""
    told = [
        event.message.caption for event in stand.events.said if event.message.HasField("caption")
    ]
    return [each for each in told if each.participant == member.name and not each.translations]


def finals(stand: Stand, member: Member) -> list[str]:
    return [it.speech.text for it in captions(stand, member) if it.speech.final]


async def says(stand: Stand, member: Member, more: int = 3) -> None:
    """Wait until so many more sentences of somebody's were told."""
    before = len(finals(stand, member))
    await until(lambda: len(finals(stand, member)) >= before + more, 60)


def features(stand: Stand, member: Member) -> set[int]:
    return stand.analyses.of(member.name).features


async def test_what_those_say_who_agreed_is_told_and_recorded_once_with_when_it_was_said(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(2) as (ann, bob):
        began = time.time()
        await caption(ann.room, 1, ann, transcript=True)
        await says(stand, ann, 4)
        assert captions(stand, bob) == []
        assert features(stand, bob) == {VOICE}
        assert are_unbroken(numbers(finals(stand, ann)))
        told = [it.speech for it in captions(stand, ann)]
        assert [it.segment for it in told if it.final] == list(
            range(1, len(finals(stand, ann)) + 1)
        )
        await until(lambda: len(stand.minutes.segments) >= 4)
        kept = stand.minutes.segments
        assert len({each.name for each in kept}) == len(kept)
        assert {each.participant for each in kept} == {ann.name}
        assert [it.text for it in kept] == finals(stand, ann)[: len(kept)]
        starts = [it.start_time.ToMicroseconds() / 1e6 for it in kept]
        assert began - 1 < starts[0] < time.time()
        assert starts == sorted(starts)


async def test_of_hypotheses_that_are_not_final_some_are_enough(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        await caption(ann.room, 1, ann)
        await says(stand, ann, 6)
        partials = [it for it in captions(stand, ann) if not it.speech.final]
        assert 1 <= len(partials) <= len(finals(stand, ann)) + 2, "one in half a second"


async def test_when_an_ai_process_dies_another_goes_on_without_a_sentence_lost_or_told_twice(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        await caption(ann.room, 1, ann, transcript=True)
        for _ in range(3):
            await says(stand, ann, 2)
            stand.analyses.die()
        await says(stand, ann, 4)
        assert len(stand.analyses.streams) >= 4
        assert all(text.startswith("sentence") for text in finals(stand, ann)), "each is whole"
        assert are_unbroken(numbers(finals(stand, ann)))
        segments = [it.speech.segment for it in captions(stand, ann) if it.speech.final]
        assert segments == list(range(1, len(segments) + 1))
        await until(lambda: len(stand.minutes.segments) >= len(segments))
        names = [each.name for each in stand.minutes.segments]
        assert len(set(names)) == len(names)


async def test_when_consent_is_taken_back_in_the_middle_of_a_sentence_nothing_more_is_told(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(2) as (ann, bob):
        await caption(ann.room, 1, ann, bob)
        await says(stand, ann, 2)
        stand.analyses.is_slow = True
        stream = stand.analyses.of(ann.name)
        await until(lambda: stream.segment >= len(finals(stand, ann)) + 2)
        told = len(captions(stand, ann))
        await caption(ann.room, 2, bob)
        stand.analyses.is_slow = False
        await until(lambda: SPEECH not in features(stand, ann))
        heard = stream.seconds
        await until(lambda: stream.seconds > heard + 0.5)
        assert len(captions(stand, ann)) == told, "neither what comes nor what was on its way"
        assert stand.analyses.of(ann.name) is stream, "voice activity goes on undisturbed"
        await says(stand, bob)
        await caption(ann.room, 3, ann, bob)
        await says(stand, ann)
        new = numbers(finals(stand, ann))
        assert are_unbroken(new[-2:])
        assert not are_unbroken(new), "what was said in between was not recognised"


async def test_whoever_mutes_is_heard_out_and_is_captioned_again_when_they_unmute(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        await caption(ann.room, 1, ann)
        await says(stand, ann)
        (track_id,) = {it.track_id for it in captions(stand, ann)}
        muted = media_pb2.SetTrackMutedRequest(participant=ann.name, track_id=track_id, muted=True)
        stand.analyses.is_slow = True
        stream, said = stand.analyses.of(ann.name), len(finals(stand, ann))
        await until(lambda: stream.segment > said + 2)
        await ann.call("SetTrackMuted", muted)
        stand.analyses.is_slow = False
        await until(lambda: len(finals(stand, ann)) > said + 2)
        heard = 0.0
        while heard < stream.seconds:
            heard = stream.seconds
            await asyncio.sleep(1)
        before = len(captions(stand, ann))
        muted.muted = False
        await ann.call("SetTrackMuted", muted)
        assert len(captions(stand, ann)) == before
        await says(stand, ann)
        segments = [it.speech.segment for it in captions(stand, ann) if it.speech.final]
        assert sorted(set(segments)) == segments


@pytest.mark.parametrize("how", ["RemovePeer", "CloseRoom"])
async def test_whoever_leaves_is_heard_out_and_so_are_all_when_the_meeting_ends(
    valkey: str, tmp_path: Path, how: str
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(2) as (ann, bob):
        await caption(ann.room, 1, ann, bob, transcript=True)
        await says(stand, ann)
        stand.analyses.is_slow = True
        stream, said = stand.analyses.of(ann.name), len(finals(stand, ann))
        await until(lambda: stream.segment > said + 2)
        if how == "RemovePeer":
            await bob.call(how, media_pb2.RemovePeerRequest(participant=ann.name))
        else:
            await bob.call(how, media_pb2.CloseRoomRequest(meeting=ann.room))
        stand.analyses.is_slow = False
        await until(lambda: len(finals(stand, ann)) > said + 2)
        await until(lambda: len(stand.minutes.segments) >= len(finals(stand, ann)))


async def test_of_those_who_left_nothing_more_is_told_when_captions_are_turned_off(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(2) as (ann, bob):
        await caption(ann.room, 1, ann, bob)
        await says(stand, ann)
        stand.analyses.is_slow = True
        stream, told = stand.analyses.of(ann.name), len(finals(stand, ann))
        await until(lambda: stream.segment > told + 2)
        await bob.call("RemovePeer", media_pb2.RemovePeerRequest(participant=ann.name))
        told = len(captions(stand, ann))
        await bob.call("SetAnalysis", request(bob.room, 2, voice_activity=True))
        stand.analyses.is_slow = False
        await until(lambda: not stream.is_open)
        assert len(captions(stand, ann)) == told


async def test_what_is_older_than_what_is_known_changes_nothing(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        await caption(ann.room, 5, ann)
        await ann.call("SetAnalysis", request(ann.room, 4))
        await says(stand, ann)


async def test_a_room_that_begins_is_asked_for_and_again_until_the_meeting_service_answers(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand:
        stand.terms = {"voice_activity": True}
        async with stand.members(1) as (ann,):
            await until(lambda: stand.minutes.asked.count(ann.room) >= 2)
            assert features(stand, ann) == {VOICE}, "meanwhile it is as the ticket says"
            stand.minutes.analyses[ann.room] = transcript_pb2.GetAnalysisResponse(
                revision=1, captions=[ann.name]
            )
            await says(stand, ann)
            assert features(stand, ann) == {SPEECH}


async def test_an_encrypted_meeting_is_refused_and_says_why(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand:
        stand.terms = {"voice_activity": True, "end_to_end_encrypted": True}
        async with stand.members(1) as (ann,):
            for what in ("captions", "emotions"):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await ann.call("SetAnalysis", request(ann.room, 1, **{what: [ann.name]}))
                assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
                assert channels.reason(refused.value) == "MEETING_ENCRYPTED"
            await ann.call("SetAnalysis", request(ann.room, 1, voice_activity=True))
            assert stand.analyses.streams == []
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await ann.call("SetAnalysis", request("meetings/zzz-zzzz-zzz", 1))
        assert channels.reason(unknown.value) == "ROOM_NOT_FOUND"


async def test_final_captions_are_told_again_with_their_translations(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        await caption(ann.room, 1, ann, translation_language_codes=["de", "xx", "en"])

        def translated() -> list[signaling_pb2.Caption]:
            told = [event.message.caption for event in stand.events.said]
            return [each for each in told if each.translations]

        await until(lambda: len(translated()) >= 2)
        for each in translated():
            assert dict(each.translations) == {"de": f"de: {each.speech.text}"}
            assert each.speech.final


async def test_what_could_not_be_recorded_is_when_the_meeting_service_is_back(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1) as (ann,):
        stand.minutes.is_away = True
        await caption(ann.room, 1, ann, transcript=True)
        await says(stand, ann)
        assert stand.minutes.segments == []
        stand.minutes.is_away = False
        await until(lambda: len(stand.minutes.segments) >= 3)
        kept = [each.text for each in stand.minutes.segments]
        assert kept == finals(stand, ann)[: len(kept)]


async def test_of_an_ai_service_of_before_voice_activity_is_had_as_ever(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand:
        stand.analyses.recognises, stand.analyses.speaking = False, True
        stand.terms = {"voice_activity": True}
        async with stand.members(1) as (ann,):
            await until(lambda: ann.name in stand.analyses.participants)
            await caption(ann.room, 1, ann)
            await until(lambda: len(stand.analyses.streams) >= 2)
            assert features(stand, ann) == {VOICE}
            await until(lambda: is_speaking(stand, ann))


def is_speaking(stand: Stand, member: Member) -> bool:
    said = [e.message for e in stand.events.said if e.message.HasField("speakers_changed")]
    return bool(said) and list(said[-1].speakers_changed.speakers) == [member.name]


async def test_in_a_spread_room_everybody_who_agreed_is_captioned_whichever_worker_is_told(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, "media-0", "media-1", max_peers_per_room=1) as stand,
        stand.members(2) as (ann, bob),
    ):
        assert len(set((await stand.places(ann.room)).values())) == 2
        for revision, stub in enumerate(stand.stubs(), 1):
            both = [ann.name, bob.name]
            await stub.SetAnalysis(request(ann.room, 2 * revision, captions=both))
            await says_both(stand, ann, bob)
            await stub.SetAnalysis(request(ann.room, 2 * revision + 1, voice_activity=True))
            await until(lambda: features(stand, ann) | features(stand, bob) == {VOICE})


async def says_both(stand: Stand, *members: Member) -> None:
    await asyncio.gather(*(says(stand, member) for member in members))


async def test_a_room_that_moves_to_another_worker_goes_on_being_captioned(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, "media-0", "media-1") as stand,
        stand.members(2) as (ann, bob),
    ):
        stand.minutes.analyses[ann.room] = transcript_pb2.GetAnalysisResponse(
            revision=1, captions=[ann.name, bob.name], transcript=True
        )
        await caption(ann.room, 1, ann, bob, transcript=True)
        await says_both(stand, ann, bob)
        before = tracks(stand, (ann, bob))
        await drain(stand, await stand.holder(ann.room))
        await until(lambda: len(tracks(stand, (ann, bob)) - before) == 2, 60)
        await says_both(stand, ann, bob)
        await until(lambda: all(is_told_out(stand, (ann, bob), each) for each in before))
        for stream in stand.analyses.streams:
            assert stream.is_finished == (stream.start.track_id in before)
        names = [each.name for each in stand.minutes.segments]
        assert len(set(names)) == len(names)


def is_told_out(stand: Stand, members: Sequence[RtcMember], track_id: str) -> bool:
    """Tell whether what was being said on a track is final: nothing of it hangs."""
    told = [it for member in members for it in captions(stand, member) if it.track_id == track_id]
    is_over = all(it.is_finished for it in stand.analyses.streams if it.start.track_id == track_id)
    return is_over and told[-1].speech.final


def tracks(stand: Stand, members: Sequence[RtcMember]) -> set[str]:
    return {it.track_id for member in members for it in captions(stand, member)}


async def drain(stand: Stand, node: str) -> None:
    stub = stand.node_stubs()[0]
    await stub.DrainNode(
        node_pb2.DrainNodeRequest(name=f"nodes/{node}"), metadata=credentials(stand.key, "admin")
    )
