"""One room over several workers' ports: what is published at one arrives at the others, once, as if it were published there."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from loadtest.media.uplink import Profile
from services.media import layers
from services.media.data import data_message
from services.media.downlink import Downlink
from services.media.drain import is_used
from services.media.quota import Want
from services.media.track import PublishedTrack
from tests.media_halls import Hall, Lossy, halls, name, settings
from tests.media_room import MEETING, until

pytestmark = pytest.mark.usefixtures("patient_receivers")

FANOUTS = ("python", "auto")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for fewer layers without waiting."""
    monkeypatch.setattr(layers, "LESS_SECONDS", 0.0)


@pytest.mark.parametrize("fanout", FANOUTS)
async def test_sound_and_pictures_cross_both_ways_unchanged(fanout: str) -> None:
    used = settings()
    async with halls(2, fanout) as (here, there):
        ann = await here.join(used, 1, publishes=True)
        bob = await there.join(used, 2, publishes=True)
        await until(lambda: used.figures.verified > 800)
        for client in (ann, bob):
            assert client.uplink is not None
            client.uplink.stop()
        assert [len(hall.told) for hall in (here, there)] == [2, 2], "each told of its own alone"
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.tracks == 2 * 2
    assert figures.keyframes >= 2


async def test_three_parts_have_each_packet_once() -> None:
    used = settings()
    async with halls(3) as parts:
        clients = [
            await hall.join(used, number, publishes=True) for number, hall in enumerate(parts)
        ]
        await until(lambda: used.figures.verified > 2_000)
        for client in clients:
            assert client.uplink is not None
            client.uplink.stop()
        for number, hall in enumerate(parts):
            for node, relay in hall.relays.items():
                (link,) = relay.links.values()
                assert {track.node for track in link.tracks} == {node}
                assert link.tracks_out == 2, "what comes from elsewhere goes no further"
            assert len(hall.room.tracks()) == 6, number
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.tracks == 3 * 4


@pytest.mark.parametrize("fanout", FANOUTS)
async def test_what_is_lost_between_workers_is_asked_for_there(fanout: str) -> None:
    used = settings(Profile(audio_bytes=0))
    ways: list[Lossy] = []
    async with halls(2, fanout, ways) as (here, there):
        ann = await here.join(used, 1, publishes=True)
        await there.join(used, 2)
        await until(lambda: used.figures.verified > 1_000)
        (encoding,) = _remote(there).forwarder.encodings
        assert encoding.recovered > 10
        assert ann.uplink is not None
        ann.uplink.stop()
    assert ways[0].lost > 20
    assert used.figures.corrupt == used.figures.duplicates == 0
    assert used.figures.lost < ways[0].lost / 4, "on a busy machine some are asked for too late"


async def test_a_simulcast_camera_comes_in_the_layers_that_are_watched(at_once: None) -> None:
    used = settings(Profile(simulcast=True, audio_bytes=0))
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await there.join(used, 2)
        (camera,) = here.room.own_tracks()
        await until(lambda: len(_remote(there).forwarder.encodings) == 3)
        link = here.relays[there.node].links[MEETING]
        for height, rank in ((180, 0), (720, 2), (180, 0)):
            there.room.set_subscriptions(name(2), {camera.id: Want(height=height)})
            rids = ["q", "h", "f"][: rank + 1]
            await until(partial(_is, lambda: link.watched(camera.id), rank))
            await until(partial(_is, lambda: here.wanted[-1:], [rids]))
            await until(partial(_is, lambda: _rank(there, 2), rank))
        there.room.set_subscriptions(name(2), {camera.id: Want(paused=True)})
        await until(lambda: link.watched(camera.id) == -1)
        packets = link.packets_out
        await until(lambda: here.wanted[-1] == [])
        assert link.packets_out == packets
    assert used.figures.corrupt == used.figures.lost == used.figures.duplicates == 0


async def test_who_comes_later_at_another_worker_sees_a_picture_at_once() -> None:
    used = settings(Profile(audio_bytes=0))
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await there.join(used, 2)
        await until(lambda: used.figures.verified > 50)
        (camera,) = here.room.own_tracks()
        (encoding,) = camera.forwarder.encodings
        before = encoding.keyframe_requests
        cleo = await there.join(used, 3)
        assert await cleo.heard()
        await until(lambda: _got(there, 3).current is not None)
        await until(lambda: encoding.keyframe_requests > before)
        (downlink,) = here.relays[there.node].sending.values()
        assert downlink.keyframe_requests > 0, "it was asked for between the workers"


async def test_what_is_muted_is_muted_everywhere() -> None:
    used = settings(Profile(bitrate_bps=0))
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await there.join(used, 2)
        await until(lambda: used.figures.received > 20)
        (microphone,) = here.room.own_tracks()
        here.room.set_muted(name(1), microphone.id, muted=True)
        await until(lambda: _remote(there).forwarder.muted)
        heard = used.figures.received
        link = here.relays[there.node].links[MEETING]
        packets = link.packets_out
        here.room.set_muted(name(1), microphone.id, muted=False)
        await until(lambda: used.figures.received > heard + 20)
        assert not _remote(there).forwarder.muted
        assert link.packets_out > packets
        assert [kind for kind, _ in here.told] == ["published", "updated", "updated"]
        assert there.told == []


async def test_who_leaves_is_gone_everywhere_and_the_last_takes_the_link_along() -> None:
    used = settings()
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await here.join(used, 2, publishes=True)
        await there.join(used, 3)
        await until(lambda: used.figures.verified > 100)
        here.leave(1)
        await until(lambda: len(there.room.links.tracks()) == 2)
        relay = here.relays[there.node]
        assert len(relay.sending) == 2
        there.room.close()
        await until(lambda: not here.room.links)
        assert not relay.links
        assert not relay.sending
        assert not there.relays[here.node].receiving
        there.relays[here.node].link(there.room)
        await until(lambda: len(there.room.links.tracks()) == 2)


def _note(heard: list[tuple[int, str, bytes]], who: int, label: str, message: bytes) -> None:
    heard.append((who, label, message))


async def test_what_is_said_beside_it_crosses(monkeypatch: pytest.MonkeyPatch) -> None:
    used = settings()
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await here.join(used, 2)
        await there.join(used, 3)
        heard: list[tuple[int, str, bytes]] = []
        for hall, number in ((here, 1), (here, 2), (there, 3)):
            note = partial(_note, heard, number)
            monkeypatch.setattr(hall.room.peer(name(number)).publisher.data, "send", note)
        here.room.peer(name(1)).publisher.data.on_message("chat", "hello")
        message = data_message(name(1), "hello")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [(2, "chat", message), (3, "chat", message)]
        here.room.links.speak([name(1)])
        await until(lambda: there.spoken.get(here.node) == [name(1)])
        levels = there.room.links.tracks()
        await until(lambda: any(t.forwarder.source_level(time.monotonic()) == 40 for t in levels))


async def test_of_who_has_moved_the_new_place_is_heard_and_not_the_old_one_as_well() -> None:
    used = settings(Profile(bitrate_bps=0))
    async with halls(3) as (here, there, third):
        await here.join(used, 2)
        await third.join(used, 3)
        old = await there.join(used, 1, publishes=True)
        await until(lambda: len(here.room.tracks()) == len(third.room.tracks()) == 1)
        await here.join(used, 1, publishes=True)
        await until(lambda: [track.node for track in here.room.tracks()] == [""])
        await until(lambda: [track.node for track in third.room.tracks()] == [here.node])
        await until(lambda: there.relays[here.node].links[MEETING].watched(_own(there).id) == -1)
        old.close()


async def test_a_room_is_in_use_while_somebody_at_another_worker_receives_from_it() -> None:
    used = settings(Profile(bitrate_bps=0))
    async with halls(2) as (here, there):
        await here.join(used, 1, publishes=True)
        await there.join(used, 2)
        await until(lambda: used.figures.received > 20)
        assert is_used(here.room)
        there.room.close()
        await until(lambda: not is_used(here.room))


async def test_a_worker_that_answers_no_more_is_gone_with_its_tracks() -> None:
    used = settings()
    async with halls(3) as (here, there, third):
        await here.join(used, 1)
        await there.join(used, 2, publishes=True)
        await third.join(used, 3, publishes=True)
        await until(lambda: len(here.room.tracks()) == 4)
        there.port.asleep_after = 0.0
        await until(lambda: here.relays[there.node].is_closed)
        assert {track.node for track in here.room.tracks()} == {third.node}
        assert not here.relays[third.node].is_closed


def _is(seen: Callable[[], object], wanted: object) -> bool:
    return seen() == wanted


def _rank(hall: Hall, number: int) -> int | None:
    current = _got(hall, number).current
    return None if current is None else current.rank


def _own(hall: Hall) -> PublishedTrack:
    (track,) = hall.room.own_tracks()
    return track


def _remote(hall: Hall) -> PublishedTrack:
    (track,) = hall.room.links.tracks()
    return track


def _got(hall: Hall, number: int) -> Downlink:
    """What a participant gets of the one track that there is."""
    ((_, downlink),) = hall.room.peer(name(number)).subscriber.downlinks()
    return downlink
