"""A room over several workers: who speaks is told by one, of all; who has moved is heard once; each knows its role."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.media import sdp
from services.media.fanout import PythonFanout
from services.media.forwarder import Forwarder, Terms
from services.media.links import OVERLAP_SECONDS, Links
from services.media.outlet import Outlet
from services.media.track import PublishedTrack
from services.media.voices import Voices

ANN, BOB, CLEO = (f"meetings/abc-defg-hij/participants/{name}" for name in ("ann", "bob", "cleo"))


class Told:
    """Takes what is told, in place of the announcer."""

    def __init__(self) -> None:
        self.speakers: list[list[str]] = []

    def tell(self, room: str, message: ServerMessage, participant: str = "") -> None:
        self.speakers.append(list(message.speakers_changed.speakers))


def voices() -> tuple[Voices, Told, list[list[str]]]:
    told: Any = Told()
    it = Voices("meetings/abc-defg-hij", told, None)  # type: ignore[arg-type]  # nothing is analysed
    here: list[list[str]] = []
    it.on_speaking = here.append
    return it, told, here


def track(participant: str, node: str = "", since: float = 0.0) -> PublishedTrack:
    nothing: Any = None  # is sent
    fanout = PythonFanout(nothing, nothing, nothing)
    forwarder = Forwarder(sdp.OPUS, Terms({111: 111}, {}), fanout, lambda _: None)
    section = sdp.Section("audio", 9, [111])
    return PublishedTrack(
        f"{participant}@{node}",
        participant,
        "0",
        "microphone",
        forwarder,
        section,
        111,
        node,
        since,
    )


def begun(of: PublishedTrack) -> PublishedTrack:
    of.forwarder.encode(7, "", 0).stream.packets = 1
    return of


def test_the_home_tells_who_speaks_everywhere_and_a_branch_tells_the_home_alone() -> None:
    home, told, _ = voices()
    home._spoke(track(ANN), True)
    home.elsewhere("media-1", [BOB])
    home.elsewhere("media-1", [BOB])
    home.elsewhere("media-1", [])
    assert told.speakers == [[ANN], [ANN, BOB], [ANN]]
    branch, told, here = voices()
    branch.lead(is_home=False)
    branch._spoke(track(CLEO), True)
    branch.elsewhere("media-0", [ANN])
    assert told.speakers == []
    assert here == [[CLEO], [CLEO]]
    branch.lead(is_home=True)
    assert told.speakers == [[ANN, CLEO]], "when it has become the home"
    branch.lead(is_home=True)
    assert len(told.speakers) == 1


class Attached:
    """A link, as far as a room's links look at it."""

    def __init__(self, node: str, tracks: list[PublishedTrack]) -> None:
        self.node = node
        self.tracks = tracks
        self.dropped: list[PublishedTrack] = []

    def drop(self, of: PublishedTrack) -> None:
        self.dropped.append(of)


def test_of_two_places_of_one_person_the_newer_counts_once_it_sends() -> None:
    old, other = begun(track(ANN, "media-1", 1.0)), begun(track(BOB, "media-1", 1.0))
    link: Any = Attached("media-1", [old, other])
    links = Links()
    links.attach(link)
    new = track(ANN, "", 2.0)
    settle(links, new)
    assert link.dropped == [], "nothing has come of it yet"
    links.settle([begun(new)], 2.1)
    assert link.dropped == [], "what the old place has sent may be on its way"
    links.settle([new], 2.15)
    assert link.dropped == [old]
    further: Any = Attached("media-2", [begun(track(BOB, "media-2", 3.0))])
    links.attach(further)
    link.tracks = [other]
    settle(links, new)
    assert link.dropped == [old, other]
    assert further.dropped == []


def settle(links: Links, *own: PublishedTrack, now: float = 2.1) -> None:
    for later in (0.0, 0.05):
        links.settle(own, now + later)


@pytest.mark.parametrize("comes", [True, False])
def test_the_older_of_two_places_goes_on_until_the_newer_has_come_through(comes: bool) -> None:
    old, new = begun(track(ANN, "media-1", 1.0)), begun(track(ANN, "", 2.0))
    link: Any = Attached("media-1", [old])
    links = Links()
    links.attach(link)
    waiting, receiver = received(new), Outlet()
    received(old).outlet = receiver
    waiting.outlet, waiting.current = receiver, None
    settle(links, new)
    assert link.dropped == [], "somebody waits for a keyframe of the newer one"
    if comes:
        waiting.current = new.forwarder.encodings[0]
        settle(links, new)
    else:
        settle(links, new, now=2.2 + OVERLAP_SECONDS)
    assert link.dropped == [old]


def received(of: PublishedTrack) -> Any:
    """Have somebody receive a track."""
    downlink = SimpleNamespace(outlet=Outlet(), current=of.forwarder.encodings[0])
    of.forwarder.downlinks.append(downlink)  # type: ignore[arg-type]  # as much as is looked at
    return downlink
