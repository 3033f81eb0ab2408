"""Media over IPv6, alone and beside IPv4 on one port."""

from __future__ import annotations

from services.media.ice import seen_as
from tests.media_room import MEETING, a_room, join, until
from tests.rtc import on_loopback

ANN, BOB = (f"{MEETING}/participants/{name}" for name in ("ann", "bob"))


async def test_two_people_see_and_hear_each_other_over_ipv6() -> None:
    async with a_room("[::1]:0", ("::1",)) as (room, told):
        ann = await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=True)
        for client in (ann, bob):
            await client.frame("video")
            await client.frame("audio")
        address = room.peer(ANN).publisher.transport.ice.address
        assert address is not None
        assert address[0] == "::1"


async def test_one_port_serves_who_has_ipv4_alone_and_who_has_ipv6_alone() -> None:
    async with a_room("[::]:0", ("::1", "127.0.0.1")) as (room, told):
        with on_loopback("127.0.0.1"):
            await join(room, told, "ann", publish=True)
            await until(lambda: room.peer(ANN).publisher.transport.is_connected)
        with on_loopback("::1"):
            bob = await join(room, told, "bob", publish=False)
            for _ in range(5):
                await bob.frame("video")
        found = [
            room.peer(ANN).publisher.transport.ice.address,
            room.peer(BOB).subscriber.transport.ice.address,
        ]
        assert [seen_as(each)[0] for each in found if each] == ["127.0.0.1", "::1"]
