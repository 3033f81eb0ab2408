"""A keyframe now and then: which layer it is taken of, when one is asked for, and what becomes of it that does not come whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.media import sdp
from services.media.fanout import PythonFanout
from services.media.forwarder import Forwarder, Terms
from services.media.glimpse import LAYER_SECONDS, WAIT_SECONDS, Glimpse
from services.media.track import PublishedTrack

VP8 = next(codec for codec in sdp.CODECS if codec.name == "VP8")
KEY = bytes.fromhex("90 80 8123 100200 9d012a 4001 b400")
DELTA = bytes.fromhex("90 80 8123 110200")
MORE = bytes.fromhex("80 80 8123 00")


class Camera:
    """A camera of three layers, of which what is asked for is noted."""

    def __init__(self) -> None:
        nothing: Any = None  # is sent
        self.asked = 0
        terms = Terms({VP8.payload_type: VP8.payload_type}, {})
        fanout = PythonFanout(nothing, nothing, nothing)
        self.forwarder = Forwarder(VP8, terms, fanout, self._request)
        section = sdp.Section("video", 9, [VP8.payload_type], rids=["q", "h", "f"])
        self.track = PublishedTrack(
            "track", "ann", "0", "camera", self.forwarder, section, VP8.payload_type
        )
        self.layers = [self.forwarder.encode(each, rid, each) for each, rid in enumerate("qhf")]
        self.taken: list[tuple[str, list[bytes], int]] = []
        self.glimpse = Glimpse(self.track, self._take)
        self._numbers = [0, 0, 0]

    def send(self, layer: int, payload: bytes, timestamp: int, now: float, *, ends: bool) -> None:
        number = self._numbers[layer] = self._numbers[layer] + 1
        head = bytes((0x80, 0x80 * ends | VP8.payload_type)) + number.to_bytes(2, "big")
        packet = head + timestamp.to_bytes(4, "big") + layer.to_bytes(4, "big") + payload
        self.forwarder.receive(packet, self.layers[layer], now)

    def is_watched(self, layer: int) -> bool:
        return self.layers[layer].stream.is_watched

    def lose(self, layer: int) -> None:
        self._numbers[layer] += 1

    def tick(self, now: float) -> None:
        self.glimpse.tick(now)
        self.forwarder.tick(now)

    def _take(self, codec: str, payloads: Sequence[bytes], timestamp: int) -> None:
        self.taken.append((codec, list(payloads), timestamp))

    def _request(self, _packet: bytes) -> None:
        self.asked += 1


def test_the_smallest_layer_that_is_sent_gives_a_whole_keyframe_and_then_none_for_a_while() -> None:
    camera = Camera()
    for layer in (1, 2):
        camera.send(layer, DELTA, 1, 100.0, ends=True)
        assert camera.is_watched(layer), "until its height is known"
        camera.layers[layer].height = 360
        camera.layers[layer].watch()
    camera.tick(100.1)
    assert camera.asked == 1
    assert camera.is_watched(1)
    camera.send(1, DELTA, 2, 100.2, ends=True)
    camera.send(1, KEY, 3, 100.3, ends=False)
    camera.tick(100.35)
    assert camera.taken == []
    camera.send(1, MORE, 3, 100.4, ends=True)
    camera.send(1, DELTA, 4, 100.45, ends=True)
    camera.tick(100.5)
    assert camera.taken == [("VP8", [KEY, MORE], 3)]
    assert not camera.is_watched(1), "the fast path has it again"
    camera.tick(100.6)
    camera.send(1, KEY, 5, 101.0, ends=True)
    camera.tick(101.1)
    assert len(camera.taken) == 1
    camera.send(1, DELTA, 6, 100.1 + LAYER_SECONDS, ends=True)
    camera.tick(100.2 + LAYER_SECONDS)
    assert camera.asked == 2


def test_a_keyframe_that_does_not_come_whole_is_given_up() -> None:
    camera = Camera()
    camera.send(0, DELTA, 1, 100.0, ends=True)
    camera.tick(100.0)
    camera.send(0, KEY, 2, 100.1, ends=False)
    camera.lose(0)
    camera.send(0, MORE, 2, 100.1, ends=True)
    camera.tick(100.2)
    camera.tick(100.2 + WAIT_SECONDS)
    assert camera.taken == []
    camera.send(0, DELTA, 3, 100.1 + LAYER_SECONDS, ends=True)
    camera.tick(100.2 + LAYER_SECONDS)
    camera.send(0, KEY, 4, 100.3 + LAYER_SECONDS, ends=True)
    camera.tick(100.4 + LAYER_SECONDS)
    assert camera.taken == [("VP8", [KEY], 4)]


def test_nothing_is_asked_of_a_camera_that_is_muted_or_off_nor_waited_for_when_it_is_over() -> None:
    camera = Camera()
    camera.tick(100.0)
    assert camera.asked == 0
    camera.send(0, DELTA, 1, 100.0, ends=True)
    camera.forwarder.muted = True
    camera.tick(100.1)
    assert camera.asked == 0
    camera.forwarder.muted = False
    camera.tick(100.2)
    assert camera.asked == 1
    assert camera.layers[0].waiting == [camera.glimpse]
    camera.glimpse.stop()
    assert camera.layers[0].waiting == []
