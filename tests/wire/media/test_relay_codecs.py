"""Whatever a codec's packets look like, and whoever may read them, they come through between workers as they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from loadtest.media.codecs import AV1, H264, OPUS, RED, VP8, VP9, Codec
from loadtest.media.downlink import Track
from loadtest.media.participant import Participant
from loadtest.media.uplink import Profile
from services.media import layers
from services.media.payload import begins_keyframe
from services.media.quota import Want
from tests.media_halls import Hall, halls, name, settings
from tests.media_light import light_members
from tests.media_room import until
from tests.media_stand import standing

pytestmark = pytest.mark.usefixtures("patient_receivers")

CODECS = (VP8, VP9, H264, AV1)
FANOUTS = ("python", "auto")


def received(client: Participant) -> Sequence[Track]:
    assert client.downlink is not None
    return client.downlink.offered


def came(client: Participant) -> int:
    """Count the packets that have come of what has come least of."""
    return min((track.continuity.received for track in received(client)), default=0)


def quiet(*clients: Participant) -> None:
    for client in clients:
        if client.uplink is not None:
            client.uplink.stop()


def begins_with_a_keyframe(client: Participant) -> bool:
    (track,) = received(client)
    assert track.codec is not None
    return begins_keyframe(track.codec.name.upper(), track.begun)


@pytest.mark.parametrize("fanout", FANOUTS)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
async def test_pictures_of_each_codec_cross_unchanged_and_begin_with_a_keyframe(
    codec: Codec, fanout: str
) -> None:
    used = settings(Profile(codec=codec, audio_bytes=0))
    async with halls(2, fanout) as (here, there):
        ann = await here.join(used, 1, publishes=True)
        assert ann.uplink is not None
        bob = await there.join(used, 2)
        await until(lambda: came(bob) > 60)
        cleo = await there.join(used, 3)
        await until(lambda: came(cleo) > 60)
        for client in (bob, cleo):
            (track,) = received(client)
            assert track.codec == codec
            assert track.payload_types == {codec.payload_type}
            assert begins_with_a_keyframe(client)
        (camera,) = there.room.links.tracks()
        assert camera.forwarder.codec.name.lower() == codec.name
        quiet(ann)
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.keyframes >= 2, "who came later had one asked for"


async def test_layers_of_h264_are_switched_beyond_the_relay_without_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "LESS_SECONDS", 0.0)
    used = settings(Profile(codec=H264, simulcast=True, audio_bytes=0))
    async with halls(2) as (here, there):
        ann = await here.join(used, 1, publishes=True)
        bob = await there.join(used, 2)
        (camera,) = here.room.own_tracks()
        await until(lambda: came(bob) > 20)
        for height, rank in ((180, 0), (720, 2), (180, 0), (360, 1)):
            there.room.set_subscriptions(name(2), {camera.id: Want(height=height)})
            await until(partial(is_at, there, rank))
            before = came(bob)
            await until(lambda before=before: came(bob) > before + 20)  # type: ignore[misc]
        assert begins_with_a_keyframe(bob)
        quiet(ann)
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.recovered == 0, "no number is left out, so none is asked for"
    assert figures.switches >= 3


def is_at(hall: Hall, rank: int) -> bool:
    """Tell whether the second participant gets the layer of a rank."""
    ((_, downlink),) = hall.room.peer(name(2)).subscriber.downlinks()
    return downlink.current is not None and downlink.current.rank == rank


@pytest.mark.parametrize("fanout", FANOUTS)
async def test_redundant_sound_comes_as_such_to_those_who_take_it_and_plain_to_the_others(
    fanout: str,
) -> None:
    profile = Profile(bitrate_bps=0, redundant=True)
    some, others = settings(profile, red=True), settings(profile)
    async with halls(2, fanout) as (here, there):
        ann = await here.join(some, 1, publishes=True)
        takers = [await hall.join(some, number) for number, hall in ((2, here), (3, there))]
        plain = [await hall.join(others, number) for number, hall in ((4, here), (5, there))]
        await until(lambda: min(map(came, (*takers, *plain))) > 50)
        for clients, payload_type in ((takers, RED), (plain, OPUS)):
            for client in clients:
                (track,) = received(client)
                assert track.payload_types == {payload_type}
        quiet(ann)
    for figures in (some.figures, others.figures):
        assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0


@pytest.mark.parametrize("encrypted", [True, False])
async def test_of_an_encrypted_room_no_worker_listens_in_and_of_another_one_alone(
    valkey: str, tmp_path: Path, encrypted: bool
) -> None:
    async with standing(valkey, tmp_path, "media-0", "media-1", max_peers_per_room=1) as stand:
        stand.terms = {"voice_activity": True, "end_to_end_encrypted": encrypted}
        async with light_members(stand, 2, Profile(bitrate_bps=300_000)) as members:
            await asyncio.gather(*(member.hears_others(2, 50) for member in members))
            assert len(set((await stand.places(members[0].room)).values())) == 2
            analysed = [] if encrypted else sorted(member.name for member in members)
            await until(lambda: sorted(stand.analyses.participants) == analysed)
            quiet(*(member.way for member in members))
        for member in members:
            (figures,) = member.figures
            assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
