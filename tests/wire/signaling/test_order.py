"""What docs/protocol.md guarantees of order, and that a reader who does not read costs nobody else anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from tests.signaling_listener import TRANSPORTS, Listener
from tests.signaling_stand import Client, Stand, standing, until
from tests.wire.signaling.test_deaths import listening, speaking

LARGE = "x" * 50_000
LOUD = 240
"""So many large events that the kernel's buffers don't hold them."""


async def heard_until(client: Client, last: str) -> list[tuple[int, str]]:
    """Give the sequences and names of SpeakersChanged, up to one name."""
    heard: list[tuple[int, str]] = []
    while not heard or heard[-1][1] != last:
        message = await client.hear("speakers_changed")
        heard.append((message.sequence, message.speakers_changed.speakers[0]))
    return heard


async def talk(stand: Stand, name: str) -> None:
    for number in range(20):
        await stand.publish(*(speaking(f"{name} {number} {part}") for part in range(3)))


async def test_everybody_hears_the_same_in_the_same_order(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        clients = [(await stand.joined(process=number))[0] for number in (0, 1, 0)]
        await asyncio.gather(*(talk(stand, name) for name in ("a", "b", "c")))
        await stand.publish(speaking("end"))
        first, *others = [await heard_until(client, "end") for client in clients]
        assert all(other == first for other in others)
        assert len(first) == 3 * 20 * 3 + 1
        names = [name for _, name in first[:-1]]
        for talker in ("a", "b", "c"):
            own = [name for name in names if name.startswith(talker)]
            assert own == [f"{talker} {n} {part}" for n in range(20) for part in range(3)]
        requests = [names[start : start + 3] for start in range(0, len(names), 3)]
        assert all(len({name.rsplit(" ", 1)[0] for name in each}) == 1 for each in requests), (
            "the events of one request were told apart"
        )


async def test_joined_is_all_that_is_true_at_its_sequence(valkey: str, tmp_path: Path) -> None:
    """Who applies what follows to it has what anybody has who was there before."""
    async with standing(valkey, tmp_path, processes=2) as stand:
        early = Listener(stand, "connect", [0])
        late = [Listener(stand, name, [1]) for name in TRANSPORTS]
        async with listening(early):
            passing = [asyncio.create_task(come_and_go(stand)) for _ in range(5)]
            async with listening(*late):
                await asyncio.gather(*passing)
                people = {each.participant for each in (early, *late)}
                await until(lambda: all(set(each.people) == people for each in (early, *late)))


async def come_and_go(stand: Stand) -> None:
    client, _ = await stand.joined()
    await client.say(leave={})
    await client.hear("disconnected")


async def test_tracks_go_before_their_publisher_and_nothing_follows_the_end(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, _ = await stand.joined(ann)
        second, _ = await stand.joined(bob)
        track = signaling_pb2.Track(id="t1", participant=bob)
        published = signaling_pb2.TrackPublished(track=track)
        await stand.publish(ServerMessage(track_published=published))
        await second.say("a", restart_ice={})
        await second.say("b", leave={})
        await second.say("c", restart_ice={})
        kinds = [(await second.hear()).WhichOneof("message") for _ in range(3)]
        assert kinds == ["track_published", "accepted", "disconnected"]
        with pytest.raises(EOFError):
            await second.hear()
        await first.hear("track_published")
        kinds = [(await first.hear()).WhichOneof("message") for _ in range(2)]
        assert kinds == ["track_unpublished", "participant_left"]


@pytest.mark.parametrize("limit", ["count", "bytes"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_does_not_read_is_sent_on_and_nobody_else_notices(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, limit: str
) -> None:
    if limit == "count":
        monkeypatch.setattr("services.signaling.rooms.QUEUE", 20)
    else:
        monkeypatch.setattr("services.signaling.rooms.QUEUE_BYTES", 20 * len(LARGE))
    async with standing(valkey, tmp_path) as stand:
        bystander, idle = (Listener(stand, name, [0]) for name in ("connect", transport))
        async with listening(bystander, idle):
            idle.reads.clear()
            for number in range(LOUD):
                await stand.publish(speaking(f"{number} {LARGE}"))
            await until(lambda: len(bystander.heard) == LOUD)
            assert bystander.reasons == []
            idle.reads.set()
            await until(lambda: len(idle.heard) == LOUD)
        assert idle.heard == bystander.heard
        assert idle.reasons, "nothing bounded the slow reader"
        assert set(idle.reasons) <= {"TOO_SLOW"}
        assert idle.rebuilt == 0
