"""A call over a bad network, 5 % loss and 100 ms either way: the picture goes on, whole."""

from __future__ import annotations

import itertools

import pytest

from loadtest.link import Conditions
from services.media.subscriber import Offer
from tests.bad_network import Ground, bad_network
from tests.media_room import MEETING, Told, a_room, join

BAD = Conditions(loss=0.05, delay_ms=100, jitter_ms=10)
FRAMES = 60


class Placed(Told):
    """Lets clients answer from their places."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._ground = ground

    def offer(self, participant: str, offer: Offer) -> None:
        if offer.revision == 1:  # the others come when the room closes
            super().offer(participant, offer)

    async def _answer(self, participant: str, offer: Offer) -> None:
        with self._ground.at(participant.rpartition("/")[2]):
            await super()._answer(participant, offer)


@pytest.mark.parametrize("way", ["namespaces", "relay"])
async def test_the_picture_goes_on_whole_over_a_bad_network(way: str) -> None:
    with bad_network(way, "ann", "bob") as ground:
        async with a_room(port=ground.port, told=Placed(ground)) as (room, told):
            with ground.at("ann"):
                await join(room, told, "ann", publish=True)
            bob = await join(room, told, "bob", publish=False)
            await bob.frame("video")
            ground.worsen(BAD)
            times = [(await bob.frame("video")).pts for _ in range(FRAMES)]
            assert ground.lost() > 0
            steps = {after - before for before, after in itertools.pairwise(times)}
            assert steps <= {2_999, 3_000, 3_001}  # of 30 frames a second none was left out
            downlinks = room.peer(f"{MEETING}/participants/bob").subscriber.downlinks()
            assert sum(downlink.retransmitted for _, downlink in downlinks) > 0
