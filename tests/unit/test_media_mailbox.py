"""What waits for another worker: in order, bounded, and never without what tells of tracks."""

from __future__ import annotations

import asyncio

from parley.media.v1.relay_pb2 import RelayMessage

from services.media.mailbox import MAX_DATA_WAITING, MAX_WAITING, Mailbox


def said(number: int) -> RelayMessage:
    message = RelayMessage(meeting=str(number))
    message.track_gone.track_id = "t"
    return message


def data(number: int) -> RelayMessage:
    message = RelayMessage(meeting=str(number))
    message.data.label = "chat"
    return message


async def taken(mailbox: Mailbox, count: int) -> list[str]:
    found: list[str] = []
    async for message in mailbox:
        found.append(message.meeting)
        if len(found) == count:
            break
    return found


async def test_what_is_put_is_taken_in_order_also_by_who_waits() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(taken(mailbox, 3))
    await asyncio.sleep(0)
    for number in range(3):
        mailbox.put(said(number))
    assert await waiting == ["0", "1", "2"]


async def test_data_is_dropped_when_much_waits_and_the_rest_is_not() -> None:
    mailbox = Mailbox()
    for number in range(MAX_DATA_WAITING + 1):
        mailbox.put(data(number))
    mailbox.put(said(-1))
    everything = await taken(mailbox, MAX_DATA_WAITING + 1)
    assert everything[-2:] == [str(MAX_DATA_WAITING - 1), "-1"]


async def test_when_even_that_is_too_much_it_is_over() -> None:
    mailbox = Mailbox()
    full: list[None] = []
    mailbox.on_overflow = lambda: full.append(None)
    for number in range(MAX_WAITING):
        mailbox.put(said(number))
    assert not full
    mailbox.put(said(MAX_WAITING))
    assert full


async def test_who_waits_is_let_go_when_it_is_closed() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(taken(mailbox, 1))
    await asyncio.sleep(0)
    mailbox.close()
    assert await waiting == []
