"""Of many cameras those of who spoke last are forwarded, as many as the operator lets through: through a real room."""

from __future__ import annotations

import time

import pytest

from services.media.publisher import Wanted
from tests.media_room import ALL, MEETING, a_room
from tests.unit.test_media_sdp import HEAD, SIMULCAST

NAMES = ("ann", "bob", "cleo", "dora")


@pytest.mark.parametrize(
    ("last_n", "pressure", "inside"),
    [(3, 0.0, 3), (1, 0.0, 1), (4, 0.0, 4), (500, 0.0, 4), (3, 0.8, 1), (500, 0.8, 2)],
)
async def test_as_many_cameras_are_forwarded_as_the_operator_says(
    last_n: int, pressure: float, inside: int
) -> None:
    async with a_room(last_n=last_n) as (room, told):
        told.room = None  # nobody is there to answer
        cameras = []
        for name in NAMES:
            participant = f"{MEETING}/participants/{name}"
            room.start_peer(participant, ALL)
            wanted = {"1": Wanted("camera", muted=False)}
            cameras += room.publish(participant, HEAD + SIMULCAST, wanted).added
        room.pressure = pressure
        room.tick(time.monotonic())
        quota = room.peer(f"{MEETING}/participants/ann").subscriber.quota
        assert quota.outside == {camera.id for camera in cameras[inside:]}
