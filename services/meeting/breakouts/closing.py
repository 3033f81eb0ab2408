"""How breakout rooms close: everyone is sent back at once; the rooms end a little later, when they are empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.meeting.breakouts.news import changed, moved
from services.meeting.breakouts.store import Openings
from services.meeting.domain import MeetingState
from services.meeting.room.events import tell_room
from services.meeting.store import MeetingTransaction


async def close_all(main: MeetingTransaction, now: datetime) -> list[UUID]:
    """Close a meeting's breakout rooms, if there are any; returns the ids of meetings that have something to be told."""
    openings = Openings(main)
    breakouts = await openings.current(now)
    if breakouts is None:
        return []
    rooms = await openings.rooms(breakouts)
    breakouts.close()
    await openings.write(breakouts)
    main.change_meeting(replace(main.meeting, breakouts_open=False))
    if main.meeting.state is not MeetingState.ACTIVE:
        return []  # the rooms end at once, and tell of that
    news, meeting = changed(breakouts), main.meeting
    tell_room(main, [news], now)
    for room in rooms:
        tell_room(room, [news, moved(meeting.name)], now)
    return [meeting.id, *(room.meeting.id for room in rooms)]


__all__ = ["close_all"]
