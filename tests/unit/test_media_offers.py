"""A subscriber's offers: each reaches its client in the end, whatever was lost, and none is made over that was only slow."""

from __future__ import annotations

import pytest

from services.media import sdp
from services.media.dtls import Certificate
from services.media.forwarder import Forwarder, Terms
from services.media.subscriber import ANSWER_SECONDS, MAX_ANSWER_SECONDS, Offer, Subscriber
from services.media.track import PublishedTrack
from services.media.transport import Transport
from tests.srtp_sink import fanout_to

BEGIN = 1_000.0
LATE = ANSWER_SECONDS + 0.01


class Client:
    """A subscriber that starts at BEGIN, what was offered to it, and the client's clock."""

    def __init__(self) -> None:
        def nowhere(_datagram: bytes, _address: tuple[str, int]) -> None:
            """There is no network here."""

        self.offers: list[Offer] = []
        self.now = BEGIN
        self._fanout = fanout_to(nowhere)
        transport = Transport(Certificate(), nowhere, self._fanout)
        local = sdp.Local(transport.ice.local, ":".join(["AB"] * 32), [("127.0.0.1", 1)])
        self.subscriber = Subscriber(transport, self._fanout, lambda: local, self.offers.append)
        self.subscriber.tick(BEGIN)

    def track(self, track_id: str) -> PublishedTrack:
        forwarder = Forwarder(sdp.OPUS, Terms({111: 111}, {}), self._fanout, lambda _: None)
        section = sdp.Section("audio", 9, [111])
        ann = "meetings/m/participants/ann"
        return PublishedTrack(track_id, ann, "0", "microphone", forwarder, section, 111)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.subscriber.tick(self.now)

    def answer(self, offer: Offer) -> None:
        text = offer.sdp.replace("a=sendonly", "a=recvonly").replace("actpass", "active")
        self.subscriber.answer(text, offer.revision)

    def receives(self) -> list[str]:
        return [track.id for track, _ in self.subscriber.downlinks()]


@pytest.fixture
def client() -> Client:
    return Client()


def test_an_offer_whose_answer_is_lost_comes_again_though_nothing_else_changes(
    client: Client,
) -> None:
    client.subscriber.add([client.track("t1")])
    client.wait(ANSWER_SECONDS * 0.9)
    assert len(client.offers) == 1, "the client may still be at it"
    client.wait(ANSWER_SECONDS * 0.2)
    _, again = client.offers
    client.answer(again)
    assert client.receives() == ["t1"]
    client.wait(10 * MAX_ANSWER_SECONDS)
    assert len(client.offers) == 2, "it is answered"


def test_an_answer_that_was_merely_late_counts(client: Client) -> None:
    client.subscriber.add([client.track("t1")])
    client.wait(LATE)
    first, again = client.offers
    client.answer(first)
    assert client.receives() == ["t1"]
    (downlink,) = [downlink for _, downlink in client.subscriber.downlinks()]
    client.answer(again)
    assert [d for _, d in client.subscriber.downlinks()] == [downlink], "nothing begins anew"


def test_what_changed_meanwhile_is_in_the_offer_that_comes_next(client: Client) -> None:
    client.subscriber.add([client.track("t1")])
    client.subscriber.add([client.track("t2")])
    assert len(client.offers) == 1, "one is out at a time"
    client.wait(LATE)
    first, both = client.offers
    assert both.revision == first.revision + 1
    client.answer(first)
    assert client.receives() == []
    client.answer(both)
    assert client.receives() == ["t1", "t2"]


def test_who_does_not_answer_is_asked_less_and_less_often_but_for_ever(client: Client) -> None:
    client.subscriber.add([client.track("t1")])
    times = []
    for _ in range(int(5 * MAX_ANSWER_SECONDS)):
        before = len(client.offers)
        client.wait(1.0)
        if len(client.offers) > before:
            times.append(client.now - BEGIN)
    assert times == [5, 15, 35, 75, 115, 155, 195]
    client.answer(client.offers[-1])
    client.subscriber.add([client.track("t2")])
    before = len(client.offers)
    client.wait(LATE)
    assert len(client.offers) == before + 1, "who has answered is not taken for deaf any more"


def test_a_restart_of_ice_is_offered_at_once_and_again_soon(client: Client) -> None:
    client.subscriber.add([client.track("t1")])
    for _ in range(3):
        client.wait(MAX_ANSWER_SECONDS)
    before = len(client.offers)
    client.subscriber.restart_ice()
    assert len(client.offers) == before + 1
    client.wait(LATE)
    assert len(client.offers) == before + 2
