"""Who leaves without a word is said goodbye for, however many they are; what all else does is the wire tests'."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.signaling import departures
from services.signaling.departures import SWEPT_AT_ONCE, Departures
from services.signaling.domain import Session, new_session
from services.signaling.log import Event


def somebody(number: int) -> Session:
    claims = {
        "sub": f"meetings/abc-defg-hij/participants/{number}",
        "user": "users/7",
        "display_name": "Ann",
        "role": "host",
        "grants": {"publish": [], "subscribe": True},
        "voice_activity": True,
    }
    return new_session(claims)[0]


class Room:
    """Sessions, a room's log and the peers in one: who has vanished is claimed some at a time, and told of."""

    def __init__(self, count: int) -> None:
        self.vanished = [somebody(number) for number in range(count)]
        self.told: list[str] = []
        self.gone = 0
        self.everybody = asyncio.Event()

    async def claim_run_out(self, limit: int) -> list[tuple[Session, str]]:
        claimed, self.vanished = self.vanished[:limit], self.vanished[limit:]
        return [(session, "12.5") for session in claimed]

    async def tracks_of(self, meeting: str, participant: str) -> list[str]:
        return []

    async def append(self, meeting: str, events: list[Event], request_id: str) -> int:
        self.told += [event.message.participant_left.participant for event in events[-1:]]
        return len(self.told)

    async def remove_peer(self, participant: str) -> None:
        await asyncio.sleep(0)

    async def say_gone(self, session: Session) -> None:
        self.gone += 1
        if not self.vanished and self.gone == len(self.told):
            self.everybody.set()


async def test_a_crowd_that_vanishes_at_once_is_gone_in_one_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(departures, "SWEEP_SECONDS", 3600.0)
    room: Any = Room(3 * SWEPT_AT_ONCE + 1)
    names = [session.participant for session in room.vanished]
    sweeping = asyncio.create_task(Departures(room, room, room).run())
    async with asyncio.timeout(20):
        await room.everybody.wait()
    sweeping.cancel()
    assert room.told == names
