"""What feedback tells of what was sent is of one contract: pure Python and compiled add it up alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import acknowledged, rtcp
from services.media.acknowledged import Acknowledged
from services.media.outlet import WIRE_BYTES
from tests.contracts.test_fanout import KINDS, Peer, Stand, both_bodies, packet, standing, turn
from tests.simulated_way import Reader, Sender, Way, regular_naps

SENT = [1.0, 1.003, 1.02, 1.021, 1.022, 1.1]
"""When six packets left, of 10, 20, … bytes of payload: three groups, the last of one packet."""
HEAD = 4
LATER = st.integers(-20_000, 90_000) | st.sampled_from((-2_000_000, 4_000_000))
"""How many microseconds later a packet comes; clocks leap, too."""
FEW = settings(max_examples=300, deadline=None)
WAYS: dict[str, Callable[[], Way]] = {
    "narrow": lambda: Way(400_000),
    "jittery": lambda: Way(5_000_000, jitter_seconds=0.05),
    "lossy": lambda: Way(5_000_000, loss=0.1),
    "asleep at times": lambda: Way(600_000, reader=Reader(regular_naps(0.4, 0.1))),
}


FRAME_SECONDS = 1 / 30
DELAYS = {
    "a queue that is full": [40.0] * 50 + [340.0] * 600,
    "a way that is longer": [40.0] * 50 + [140.0] * 100,
    "a clock that leaps": [40.0] * 50 + [5_040.0] * 100 + [40.0] * 100,
    "a slow queue": [40 + number for number in range(200)],
}
"""How long each packet is on its way, in milliseconds."""


async def told(stand: Stand, sent: list[float]) -> Acknowledged:
    """The account of a peer to which so many packets were sent, each ten bytes longer than the one before, up to 100."""
    peer = stand.peer()
    account = stand.fanout.acknowledged(peer.outlet)
    for number, at in enumerate(sent):
        data = bytes(packet(bytes(10 + 10 * (number % 10)), number))
        stand.fanout.send(peer.outlet, data, at)
        if number % 100 == 99:
            await turn()
            peer.received()
    await turn()
    return account


def on_wire(payload: int) -> int:
    """The bytes that a packet takes, by those of its payload."""
    return len(packet(bytes(payload))) + WIRE_BYTES


def seen(account: Acknowledged) -> tuple[float, ...]:
    """All that can be seen of an account."""
    counts = account.received, account.lost, account.octets, account.end
    return *counts, account.trend, account.bps, account.latest_bps


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    it = Stand(request.param)
    yield it
    it.close()


def feedback(arrivals: Sequence[tuple[int, float]]) -> bytes:
    return rtcp.transport_feedback(1, 9, 0, arrivals)[HEAD:]


async def test_it_counts_what_arrived_and_what_did_not(stand: Stand) -> None:
    account = await told(stand, SENT)
    size = on_wire(10)
    body = feedback([(0, 5.0), (1, 5.25), (2, 5.5), (4, 5.75)])
    account.receive(body)
    assert (account.received, account.lost, account.end) == (4, 1, 5)
    assert account.octets == 5 * size + 10 + 20 + 30 + 40, "of what was lost, too"


async def test_what_is_told_twice_is_lost_once(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.receive(feedback([(0, 5.0), (4, 5.75)]))
    account.receive(feedback([(0, 5.0), (5, 5.75)]))
    assert account.lost == 3


async def test_packets_are_told_one_by_one_where_they_are_asked_for(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.receive(feedback([(0, 5.0)]))
    account.lists = True
    account.receive(feedback([(0, 5.0), (4, 5.75), (5, 6.0)]))
    ((base, packets),) = account.take_listed()
    assert base == 0
    assert account.take_listed() == []
    assert [arrival for arrival, _, _ in packets] == [5e6, None, None, None, 5.75e6, 6e6]
    assert [left for _, left, _ in packets] == SENT
    assert [size for _, _, size in packets] == [on_wire(10 * n) for n in range(1, 7)]


async def test_what_arrives_is_measured_by_groups_that_are_whole(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.receive(feedback([(0, 5.0), (1, 5.25)]))
    assert account.bps == 0, "the first group may go on"
    account.receive(feedback([(2, 5.5), (3, 5.5), (4, 5.5), (5, 5.75)]))
    size = sum(on_wire(10 * n) for n in (3, 4, 5))
    assert account.bps == pytest.approx(8 * size / 0.25), "of the second, after the first"


async def test_of_what_was_never_sent_nothing_is_counted(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.receive(feedback([(5, 5.0), (6, 5.1)]))
    assert (account.received, account.octets) == (1, on_wire(60))
    account.lists = True
    account.receive(feedback([(7, 5.0), (8, 5.1)]))
    assert account.take_listed() == []
    assert (account.received, account.lost) == (1, 0)


async def test_what_is_listed_is_bounded(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.lists = True
    for _ in range(acknowledged.MAX_LISTED + 3):
        account.receive(feedback([(0, 5.0)]))
    assert len(account.take_listed()) == acknowledged.MAX_LISTED


async def test_a_feedback_of_more_packets_than_there_are_is_not_listed(stand: Stand) -> None:
    account = await told(stand, SENT)
    account.lists = True
    account.receive(feedback([(0, 5.0), (acknowledged.MAX_LISTED_PACKETS, 5.1)]))
    assert account.received == 1
    assert account.take_listed() == []


async def test_what_is_longer_than_a_packet_is_refused(stand: Stand) -> None:
    account = await told(stand, SENT)
    with pytest.raises(ValueError):  # noqa: PT011  # as below
        account.receive(feedback([(0, 5.0)]) + bytes(acknowledged.MAX_BODY))


async def test_what_a_clock_that_stands_still_tells_is_bounded(stand: Stand) -> None:
    account = await told(stand, [1 + 0.006 * number for number in range(400)])
    account.receive(feedback([(number, 5.0) for number in range(400)]))
    sizes = [on_wire(10 + 10 * (number % 10)) for number in range(399)]
    span = 0.006 * (acknowledged.MAX_RECENT - 1)
    assert account.bps == pytest.approx(8 * sum(sizes[-acknowledged.MAX_RECENT + 1 :]) / span)


@pytest.mark.parametrize("bad", [b"", bytes(17), bytes(10) + b"\xff\xff" + bytes(20)])
async def test_what_is_no_feedback_is_refused(stand: Stand, bad: bytes) -> None:
    account = await told(stand, SENT)
    with pytest.raises(ValueError):  # noqa: PT011  # the type is all that there is to tell
        account.receive(bad)


@both_bodies
async def test_both_bodies_read_whatever_comes_alike() -> None:
    stands = [Stand(kind) for kind in KINDS]
    accounts = [await told(each, [1 + 0.003 * n for n in range(300)]) for each in stands]

    @FEW
    @given(
        st.one_of(
            st.binary(max_size=120),
            st.lists(st.tuples(st.integers(1, 40), LATER), min_size=1).map(written),
        ),
        st.booleans(),
    )
    def read(body: bytes, lists: bool) -> None:
        answers: list[object] = []
        for each in accounts:
            try:
                each.lists = lists
                each.receive(body)
                answers.append((each.take_listed(), seen(each)))
            except ValueError:
                answers.append(None)
        assert answers[0] == answers[1]

    try:
        read()
    finally:
        for each in stands:
            each.close()


@both_bodies
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_both_bodies_see_the_same_of_a_way(way: Callable[[], Way]) -> None:
    stands = [Stand(kind) for kind in KINDS]
    told_of = [await live(each, way()) for each in stands]
    for each in stands:
        each.close()
    assert told_of[0] == told_of[1]
    trends = {trend for *_, trend, _, _ in told_of[0]}
    assert (1 in trends) == (way().capacity_bps < 1_000_000)


@both_bodies
@pytest.mark.parametrize("delays", DELAYS.values(), ids=DELAYS)
async def test_both_bodies_see_the_same_of_a_delay_that_changes(delays: list[float]) -> None:
    sent = [10 + FRAME_SECONDS * number for number in range(len(delays))]
    seen_by = []
    for kind in KINDS:
        with standing(kind) as stand:
            account, found = await told(stand, sent), []
            for at in range(0, len(sent), 2):
                came = [(n, sent[n] + delays[n] / 1000) for n in (at, at + 1)]
                account.receive(feedback(came))
                found.append(seen(account))
            seen_by.append(found)
    assert seen_by[0] == seen_by[1]


async def live(stand: Stand, way: Way) -> list[tuple[float, ...]]:
    """Send over a real outlet what a simulated sender sends; returns what is seen after each feedback."""
    peer = stand.peer()
    account = stand.fanout.acknowledged(peer.outlet)
    sender, sent, found = Sender(way, 1_500_000), 0, []
    while sender.now < 8:
        sender.run(0.05)
        for number, (at, size) in enumerate(sender.packets[sent:], sent):
            stand.fanout.send(peer.outlet, bytes(packet(bytes(size), number)), at)
        sent = sender.number
        base, arrivals = sender.read
        came = [(base + n, at / 1e6) for n, at in enumerate(arrivals) if at is not None]
        if came:
            account.receive(feedback(came))
            found.append(seen(account))
        await turn()
        drop(peer)
    return found


def drop(peer: Peer) -> None:
    try:
        while peer.socket.recv(2048):
            pass
    except BlockingIOError:
        pass


def written(steps: list[tuple[int, int]]) -> bytes:
    number, micros = 0, 5_000_000
    arrivals = []
    for step, later in steps:
        number, micros = number + step, micros + later
        arrivals.append((number, micros / 1e6))
    return feedback(arrivals)
