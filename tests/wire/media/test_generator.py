"""Light clients of the media load generator in a room of the SFU: what one sends arrives at the others, unchanged."""

from __future__ import annotations

import pytest

from loadtest.media.downlink import Downlink
from loadtest.media.uplink import Profile
from tests.media_halls import halls, settings
from tests.media_room import until

pytestmark = pytest.mark.usefixtures("patient_receivers")


async def test_what_one_sends_the_others_get_unchanged() -> None:
    used = settings()
    async with halls(1) as (hall,):
        ann = await hall.join(used, 1, publishes=True)
        others = [await hall.join(used, number) for number in (2, 3)]
        assert [await other.heard() for other in others] == [True, True]
        await until(lambda: used.figures.verified >= 500)
        assert ann.uplink is not None
        ann.uplink.stop()
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == 0
    assert figures.tracks == 2 * 2
    assert figures.silent == 0
    assert figures.keyframes >= 1


async def test_what_the_network_drops_is_asked_for_and_recovered() -> None:
    used = settings()
    async with halls(1) as (hall,):
        await hall.join(used, 1, publishes=True)
        bob = await hall.join(used, 2)
        assert bob.downlink is not None
        dropped = lose_some(bob.downlink)
        await until(lambda: used.figures.verified >= 800)
    assert len(dropped) > 10
    figures = used.figures
    assert figures.recovered > 0
    assert figures.lost < len(dropped)  # sound is not asked for again
    assert figures.loss_before > figures.loss_after
    assert figures.corrupt == 0


async def test_a_camera_of_layers_comes_as_one_without_a_gap() -> None:
    used = settings(Profile(simulcast=True, audio_bytes=0))
    async with halls(1) as (hall,):
        await hall.join(used, 1, publishes=True)
        await hall.join(used, 2)
        await until(lambda: used.figures.verified >= 100)
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.tracks == 1


def lose_some(downlink: Downlink) -> list[int]:
    """Drop every 20th packet, the first time that it comes."""
    receive, seen = downlink.connection.on_rtp, 0
    dropped: list[int] = []

    def lossy(packet: bytes, arrival_ns: int) -> None:
        nonlocal seen
        seen += 1
        if seen % 20:
            receive(packet, arrival_ns)
        else:
            dropped.append(seen)

    downlink.connection.on_rtp = lossy
    return dropped
