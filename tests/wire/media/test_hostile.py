"""A hostile peer with proved addresses and a finished handshake: whatever it says, the room goes on for the others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import DomainError
from services.media.ice import MAX_ADDRESSES
from services.media.peer import Peer
from services.media.room import Room
from tests.hostile import datagrams, descriptions, mutated, mutated_text
from tests.media_room import MEETING, Told, a_room, join, until
from tests.rtc import RtcClient

ANN, BOB, EVE = (f"{MEETING}/participants/{name}" for name in ("ann", "bob", "eve"))
KINDS = ("stun", "dtls", "rtp", "rtcp")
FEW = settings(max_examples=40, database=None, deadline=None)
ROUNDS = 6


async def rounds(throw: Callable[[], None]) -> None:
    """Throw again and again, and let the others speak in between."""
    for _ in range(ROUNDS):
        throw()
        await asyncio.sleep(0.05)


async def call(room: Room, told: Told) -> tuple[RtcClient, Peer]:
    """Have Ann publish to Bob, and Eve connected both ways; returns Bob's client and Eve's place."""
    await join(room, told, "ann", publish=True)
    bob = await join(room, told, "bob", publish=False)
    await join(room, told, "eve", publish=True)
    eve = room.peer(EVE)
    both = (eve.publisher.transport, eve.subscriber.transport)
    await until(lambda: all(transport.is_connected for transport in both))
    await bob.frame("video")
    return bob, eve


def of(kind: str) -> st.SearchStrategy[bytes]:
    return mutated(datagrams(kind)) | st.binary(min_size=1, max_size=48)


async def test_datagrams_from_a_proved_address_harm_nobody() -> None:
    async with a_room() as (room, told):
        bob, eve = await call(room, told)
        port = room.port
        proved = [*eve.publisher.transport.ice.addresses, *eve.subscriber.transport.ice.addresses]

        @FEW
        @given(st.sampled_from(KINDS).flatmap(of), st.sampled_from([*proved, ("127.0.0.1", 9)]))
        def throw(datagram: bytes, source: tuple[str, int]) -> None:
            if datagram:
                port._route(datagram, source, time.monotonic())

        await rounds(throw)
        assert len(eve.publisher.transport.ice.addresses) <= MAX_ADDRESSES
        for _ in range(5):
            await bob.frame("video")


async def test_media_and_reports_that_are_authentic_and_nonsense_harm_nobody() -> None:
    async with a_room() as (room, told):
        bob, eve = await call(room, told)
        sinks: list[Callable[[bytes], None]] = [
            eve.publisher.transport.inlet.on_rtp,
            eve.publisher.transport.inlet.on_rtcp,
            eve.subscriber.transport.inlet.on_rtp,
            eve.subscriber.transport.inlet.on_rtcp,
        ]
        ssrcs = [d.ssrc for _, d in eve.subscriber.downlinks()]
        ssrcs += [eve.publisher._sources.any_ssrc]

        @FEW
        @given(
            st.sampled_from(("rtp", "rtcp")).flatmap(of),
            st.sampled_from(sinks),
            st.sampled_from([*ssrcs, 0]),
            st.sampled_from((None, 4, 8, 12)),
        )
        def throw(
            packet: bytes, sink: Callable[[bytes], None], ssrc: int, where: int | None
        ) -> None:
            if where is not None:  # about a source that there is
                packet = packet[:where] + ssrc.to_bytes(4, "big") + packet[where + 4 :]
            if len(packet) >= 12:  # SRTP hands on nothing shorter
                sink(packet)
            room.tick(time.monotonic())

        await rounds(throw)
        for _ in range(5):
            await bob.frame("video")


async def test_descriptions_that_are_nonsense_are_refused_and_the_next_good_one_is_answered() -> (
    None
):
    async with a_room() as (room, told):
        _, eve = await call(room, told)
        eve_again = RtcClient()

        @FEW
        @given(mutated_text(descriptions()), st.booleans())
        def describe(text: str, as_offer: bool) -> None:
            with contextlib.suppress(DomainError):
                if as_offer:
                    room.publish(EVE, text, {})
                else:
                    eve.subscriber.answer(text, eve.subscriber._revision)
            room.tick(time.monotonic())

        try:
            await rounds(describe)
            answered = room.publish(EVE, await eve_again.offer(), {})
            assert {track.kind for track in eve.publisher.tracks.values()} == {"audio", "video"}
            assert answered.answer.count("a=recvonly") == 2
            sent = [d for t, d in room.peer(BOB).subscriber.downlinks() if t.participant != EVE]
            before = sum(each.lane.packets for each in sent)
            await until(lambda: sum(each.lane.packets for each in sent) >= before + 20)
        finally:
            await eve_again.close()
