"""What rooms are told of breakout rooms: that there are some, and each who moves where to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from parley.signaling.v1 import signaling_pb2

from services.meeting.breakouts.rules import Breakouts
from services.meeting.domain import Participant
from services.meeting.room.events import RoomEvent, tell_room
from services.meeting.store import MeetingTransaction

TOLD_TOGETHER = 200


def changed(breakouts: Breakouts) -> RoomEvent:
    """Tell everyone whether there are breakout rooms, and until when."""
    told = signaling_pb2.BreakoutsChanged(open=not breakouts.is_closed)
    if breakouts.close_time is not None and not breakouts.is_closed:
        told.close_time.FromDatetime(breakouts.close_time)
    return _event(signaling_pb2.ServerMessage(breakouts_changed=told))


def moved(meeting: str, participant: str = "") -> RoomEvent:
    """Tell a participant, or (empty) everyone in a room, to join `meetings/{code}`."""
    told = signaling_pb2.Moved(meeting=meeting)
    return _event(signaling_pb2.ServerMessage(moved=told), participant)


def tell_moves(
    main: MeetingTransaction,
    rooms: Sequence[MeetingTransaction],
    breakouts: Breakouts,
    devices: Iterable[Participant],
) -> None:
    """Tell each device that is not where its account belongs to go there."""
    meetings = {each.meeting.id: each for each in (main, *rooms)}
    told: dict[MeetingTransaction, list[RoomEvent]] = {}
    for device in devices:
        room = breakouts.room_of(device.user_id)
        where = main.meeting if room is None else meetings[room.id].meeting
        if where.id != device.meeting_id:
            here = meetings[device.meeting_id]
            told.setdefault(here, []).append(moved(where.name, device.name))
    for transaction, events in told.items():
        _tell_all(transaction, events, breakouts.now)


def _tell_all(transaction: MeetingTransaction, events: Sequence[RoomEvent], now: datetime) -> None:
    """Have a room told any number of events."""
    for begin in range(0, len(events), TOLD_TOGETHER):
        tell_room(transaction, events[begin : begin + TOLD_TOGETHER], now)


def _event(message: signaling_pb2.ServerMessage, participant: str = "") -> RoomEvent:
    return RoomEvent(message.SerializeToString(), participant)


__all__ = ["changed", "moved", "tell_moves"]
