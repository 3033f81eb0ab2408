"""What Prometheus is shown of a room's media, and what GetRoomStats tells: real RTP, and nothing counted twice."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import REGISTRY

from services.media.metrics import Figures
from services.media.stats import room_stats
from tests.media_room import MEETING, a_room, join, until

BOB = f"{MEETING}/participants/bob"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"parley_media_{name}", labels) or 0.0


async def test_a_rooms_media_is_shown_and_its_events_are_counted_once() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        (picture,) = (
            track.forwarder.encodings[0] for track in room.tracks() if track.kind == "video"
        )
        picture.request_keyframe()  # one may have begun just as bob came, unasked
        await until(lambda: picture.keyframe_requests > 0)
        figures = Figures()
        before = value("events_total", event="keyframe_requested")
        figures.show([room], time.monotonic())
        counted = value("events_total", event="keyframe_requested") - before
        assert counted >= 1
        assert value("encodings", kind="video", rank="0") == 1
        assert value("published_bits_per_second", kind="audio", rank="0") > 0
        assert value("downlinks", kind="video", delivery="active") == 1
        assert value("peers_by_quality", quality="excellent") == 2
        figures.show([room], time.monotonic())
        again = value("events_total", event="keyframe_requested") - before
        requested = sum(e.keyframe_requests for t in room.tracks() for e in t.forwarder.encodings)
        assert counted <= again <= requested
        figures.show([], time.monotonic())
        assert value("downlinks", kind="video", delivery="active") == 0


async def test_stats_tell_of_each_encoding_and_each_subscriber() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        downlink = next(d for t, d in room.peer(BOB).subscriber.downlinks() if t.kind == "video")
        await until(lambda: downlink.report is not None)
        stats = room_stats(room, "node")
        video = next(each for each in stats.published_tracks if each.codec == "VP8")
        (encoding,) = video.encodings
        assert encoding.active
        assert (encoding.height, encoding.frames > 0, encoding.packets > 0) == (480, True, True)
        sent = next(s for s in stats.subscribed_tracks if s.track_id == video.track.id)
        assert sent.participant == BOB
        assert sent.packets > 0
        assert [peer.participant.rpartition("/")[2] for peer in stats.peers] == ["ann", "bob"]
        await asyncio.sleep(0)
