"""Layers that nobody watches need not be sent, and are asked for at once when somebody does: through a real room."""

from __future__ import annotations

import time

import pytest

from services.media import layers
from services.media.publisher import Wanted
from services.media.quota import Want
from services.media.track import PublishedTrack
from tests.media_room import ALL, MEETING, Told, a_room, join, until
from tests.unit.test_media_sdp import HEAD, SIMULCAST

ANN, BOB = (f"{MEETING}/participants/{name}" for name in ("ann", "bob"))


class Wanting(Told):
    """Remembers which layers were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[list[str]] = []

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        self.wanted.append(rids)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for fewer layers without waiting."""
    monkeypatch.setattr(layers, "LESS_SECONDS", 0.0)


async def test_a_layer_is_asked_for_in_the_tick_in_which_somebody_wants_it(at_once: None) -> None:
    wanting = Wanting()
    async with a_room(told=wanting) as (room, _):
        room.start_peer(ANN, ALL)
        published = room.publish(ANN, HEAD + SIMULCAST, {"1": Wanted("camera", muted=False)})
        (camera,) = published.added
        room.tick(time.monotonic())
        room.tick(time.monotonic() + 2.0)
        assert wanting.wanted == [], "it has not even begun"
        for ssrc, rid in enumerate(camera.section.rids, 1):
            camera.forwarder.encode(ssrc, rid, ssrc - 1)
        for later in (4.0, 6.0):
            room.tick(time.monotonic() + later)
        assert wanting.wanted == [[]], "nobody watches"
        await join(room, wanting, "bob", publish=False)
        room.set_subscriptions(BOB, {camera.id: Want(paused=True)})  # before he is there
        await until(lambda: room.peer(BOB).subscriber.transport.is_connected)
        room.tick(time.monotonic())
        assert wanting.wanted == [[]], "nobody watches"
        room.set_subscriptions(BOB, {camera.id: Want(height=720)})
        room.tick(time.monotonic())
        assert wanting.wanted[-1] == ["q", "h", "f"]
