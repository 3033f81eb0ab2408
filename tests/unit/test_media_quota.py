"""What a subscriber gets of tracks, by what is known of its way: at the beginning, of muted ones, of sound."""

from __future__ import annotations

import pytest

from services.media import sdp
from services.media.acknowledged import Acknowledged
from services.media.downlink import Accepted, Downlink, Way
from services.media.forwarder import Forwarder, Terms
from services.media.probing import AFTER_CUT_SECONDS
from services.media.quota import ALLOCATE_SECONDS, UNKNOWN_SECONDS, Quota
from services.media.track import PublishedTrack
from tests.srtp_sink import Network

LAYERS = 3
SMALLEST_BPS = 150_000
"""What the smallest layer takes that has not been seen yet."""
WITHOUT_RTX = Accepted()
"""So that no probes are sent."""
SECTION = sdp.Section("video", 9, [96])


class Tiles:
    """A subscriber of cameras that nobody has sent anything of yet, and its quota."""

    def __init__(
        self, cameras: int, microphones: int = 0, accepted: Accepted = WITHOUT_RTX
    ) -> None:
        network = Network()
        self.sink = network.sink()
        self.quota = Quota(self.sink.outlet, Acknowledged(self.sink.outlet))
        self._way = Way(network.fanout, self.sink.outlet, self.quota.resends, self.sink.send_rtcp)
        self._fanout = network.fanout
        self.now = 100.0
        self.links = [self._link(n, sdp.VP8, accepted) for n in range(cameras)]
        self.links += [self._link(cameras + n, sdp.OPUS, accepted) for n in range(microphones)]

    def _link(
        self, number: int, codec: sdp.Codec, accepted: Accepted
    ) -> tuple[PublishedTrack, Downlink]:
        forwarder = Forwarder(codec, Terms({}, {}), self._fanout, lambda _packet: None)
        layers = LAYERS if codec is sdp.VP8 else 1
        for rank in range(layers):
            forwarder.encode(10 * number + rank, "qhf"[rank], rank)
        source = "camera" if codec is sdp.VP8 else "microphone"
        track = PublishedTrack(
            str(number), f"participants/{number}", "0", source, forwarder, SECTION, 96
        )
        downlink = Downlink(self._way, 1_000 + number, accepted)
        forwarder.add(downlink)
        self.quota.begin(track, downlink)
        if codec is sdp.OPUS:
            downlink.current = forwarder.encodings[0]
            downlink.current.stream.lanes.append(downlink.lane)
        return track, downlink

    def ranks(self, seconds: float = 2 * ALLOCATE_SECONDS) -> list[int]:
        """Let time go by; returns what cameras are to be seen by."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.05
            self.quota.tick(lambda: self.links, self.now)
        return [downlink.rank for track, downlink in self.links if track.kind == "video"]


def test_before_anything_is_known_the_smallest_pictures_go() -> None:
    tiles = Tiles(2)
    assert tiles.ranks(20.0) == [0, 0], "nothing was sent of which anything could be told"
    tiles.sink.outlet.number = 1
    assert tiles.ranks(UNKNOWN_SECONDS / 2) == [0, 0]


def test_who_tells_nothing_gets_everything() -> None:
    tiles = Tiles(2)
    tiles.sink.outlet.number = 1
    assert tiles.ranks(2 * UNKNOWN_SECONDS) == [2, 2]


def test_while_nothing_speaks_against_them_the_smallest_pictures_go_on() -> None:
    tiles = Tiles(3)
    tiles.quota.estimator.estimate_bps = SMALLEST_BPS
    assert tiles.ranks() == [0, 0, 0]
    tiles.quota.estimator.is_limited = True
    assert tiles.ranks() == [0, -1, -1]


def test_when_a_picture_stops_it_is_soon_tried_whether_it_might_go_through() -> None:
    tiles = Tiles(1)
    estimator = tiles.quota.estimator
    estimator.estimate_bps, estimator.is_limited = 2.0 * SMALLEST_BPS, True
    assert tiles.ranks() == [0]
    estimator.estimate_bps, estimator._cut_at = SMALLEST_BPS / 2, tiles.now
    assert tiles.ranks(AFTER_CUT_SECONDS[0]) == [-1]
    assert estimator.probe(SMALLEST_BPS, 1, tiles.now)


def test_of_what_is_muted_nothing_is_paid() -> None:
    tiles = Tiles(3)
    tiles.quota.estimator.estimate_bps = 1.2 * SMALLEST_BPS
    tiles.quota.estimator.is_limited = True
    assert tiles.ranks() == [0, -1, -1]
    for track, _ in tiles.links[:2]:
        track.forwarder.muted = True
    assert tiles.ranks() == [0, 0, 0]


def test_a_picture_that_has_not_begun_can_carry_a_probe() -> None:
    ((_, downlink),) = Tiles(1, accepted=Accepted(97, 98)).links
    assert downlink.can_pad


@pytest.mark.parametrize(("cameras", "spares"), [(1, True), (0, False)])
def test_redundancy_is_spared_for_pictures_alone(cameras: int, *, spares: bool) -> None:
    tiles = Tiles(cameras, microphones=2)
    sounds = [downlink for track, downlink in tiles.links if track.kind == "audio"]
    encodings = [downlink.current for downlink in sounds]
    tiles.quota.estimator.estimate_bps = SMALLEST_BPS
    tiles.quota.estimator.is_limited = True
    tiles.ranks()
    assert [bool(each and each.plain_lanes) for each in encodings] == [spares] * 2
    tiles.quota.estimator.estimate_bps = 4 * SMALLEST_BPS
    tiles.ranks()
    assert [bool(each and each.plain_lanes) for each in encodings] == [False] * 2
