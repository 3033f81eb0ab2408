"""What feedback says of what was sent is of one contract: pure Python and compiled put it together alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtcp
from services.media.acknowledged import Acknowledged
from services.media.fanout import Outlet
from tests.contracts.test_fanout import KINDS, Stand, both_bodies, packet, turn

SENT = [1.0, 1.003, 1.02, 1.021, 1.022, 1.1]
"""When six packets left, of 10, 20, … bytes of payload: three groups, the last of one packet."""
HEAD = 4
FEW = settings(max_examples=300, deadline=None)


async def outlet(stand: Stand, sent: list[float]) -> Outlet:
    """An outlet that has sent so many packets, each ten bytes longer than the one before, up to 100."""
    peer = stand.peer()
    for number, at in enumerate(sent):
        data = bytes(packet(bytes(10 + 10 * (number % 10)), number))
        stand.fanout.send(peer.outlet, data, at)
        if number % 100 == 99:
            await turn()
            peer.received()
    await turn()
    return peer.outlet


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    it = Stand(request.param)
    yield it
    it.close()


def feedback(arrivals: list[tuple[int, float]]) -> bytes:
    return rtcp.transport_feedback(1, 9, 0, arrivals)[HEAD:]


async def test_packets_that_left_together_are_one_group(stand: Stand) -> None:
    out = await outlet(stand, SENT)
    size = len(packet(bytes(10)))
    body = feedback([(0, 5.0), (1, 5.25), (2, 5.5), (4, 5.75)])
    told = Acknowledged(*out.acknowledge(body, 0, -1.0, False))
    assert (told.base, told.end, told.received, told.lost) == (0, 5, 4, 1)
    assert told.octets == 5 * size + 10 + 20 + 30 + 40, "of what was lost, too"
    assert [pytest.approx(group) for group in told.groups] == [
        (1000.0, 1003.0, 5250.0, 2 * size + 10),
        (1020.0, 1022.0, 5750.0, 2 * size + 20 + 40),
    ]
    assert list(told.packets) == []


async def test_an_open_group_goes_on_and_losses_before_what_was_asked_about_do_not_count(
    stand: Stand,
) -> None:
    out = await outlet(stand, SENT)
    body = feedback([(0, 5.0), (4, 5.75), (5, 6.0)])
    told = Acknowledged(*out.acknowledge(body, 3, 998.0, True))
    assert told.lost == 1
    assert [group[0] for group in told.groups] == [998.0, 1022.0, 1100.0]
    assert told.groups[0][:3] == (998.0, 1000.0, 5000.0)
    assert [arrival for arrival, _, _ in told.packets] == [5e6, None, None, None, 5.75e6, 6e6]
    assert [left for _, left, _ in told.packets] == SENT


async def test_of_what_was_never_sent_nothing_is_counted(stand: Stand) -> None:
    out = await outlet(stand, SENT)
    told = Acknowledged(*out.acknowledge(feedback([(5, 5.0), (6, 5.1)]), 0, -1.0, False))
    assert (told.received, told.octets) == (1, len(packet(bytes(60))))


@pytest.mark.parametrize("bad", [b"", bytes(17), bytes(10) + b"\xff\xff" + bytes(20)])
async def test_what_is_no_feedback_is_refused(stand: Stand, bad: bytes) -> None:
    out = await outlet(stand, SENT)
    with pytest.raises(ValueError):  # noqa: PT011  # the type is all that there is to tell
        out.acknowledge(bad, 0, -1.0, False)


@both_bodies
async def test_both_bodies_read_whatever_comes_alike() -> None:
    stands = [Stand(kind) for kind in KINDS]
    outlets = [await outlet(each, [1 + 0.003 * n for n in range(300)]) for each in stands]

    @FEW
    @given(
        st.one_of(
            st.binary(max_size=120),
            st.lists(st.tuples(st.integers(1, 40), st.integers(-20_000, 90_000)), min_size=1).map(
                written
            ),
        ),
        st.integers(0, 400),
        st.sampled_from((-1.0, 1000.0, 1100.0, 1899.0)),
        st.booleans(),
    )
    def read(body: bytes, since: int, begun: float, wants_packets: bool) -> None:
        answers: list[object] = []
        for each in outlets:
            try:
                answers.append(tuple(each.acknowledge(body, since, begun, wants_packets)))
            except ValueError:
                answers.append(None)
        assert answers[0] == answers[1]

    try:
        read()
    finally:
        for each in stands:
            each.close()


def written(steps: list[tuple[int, int]]) -> bytes:
    number, micros = 0, 5_000_000
    arrivals = []
    for step, later in steps:
        number, micros = number + step, micros + later
        arrivals.append((number, micros / 1e6))
    return feedback(arrivals)
