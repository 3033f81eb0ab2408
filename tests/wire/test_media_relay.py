"""One room over several workers' ports: what is published at one arrives at the others, once, as if it were published there."""

from __future__ import annotations

import pytest

from tests.media_halls import halls, settings, until

FANOUTS = ("python", "auto")


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
