"""NotesService: what participants change in shared notes is merged, kept, and told to the room."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from parley.meeting.v1 import notes_pb2, notes_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis.clock import Clock
from chassis.errors import Unavailable
from services.meeting.domain import ParticipantNotFound
from services.meeting.permissions import check, is_granted, present
from services.meeting.roles import standing
from services.meeting.room.events import RoomEvent, tell_room
from services.meeting.room.herald import Herald
from services.meeting.room.notes import Merged, Notes, NotesNotAllowed, check_size
from services.meeting.room.notes_scribe import Scribe
from services.meeting.room.notes_store import NotesStore, put_notes
from services.meeting.store import Store

ATTEMPTS = 8
TURNS = 64
"""Changes of one meeting are made one after the other in a process, so that they rarely meet in the database."""


class NotesServicer(notes_pb2_grpc.NotesServiceServicer):
    """Merges what participants write."""

    def __init__(
        self, store: Store, notes: NotesStore, scribe: Scribe, herald: Herald, clock: Clock
    ) -> None:
        self._store = store
        self._notes = notes
        self._scribe = scribe
        self._herald = herald
        self._clock = clock
        self._turns = [asyncio.Lock() for _ in range(TURNS)]

    async def ApplyNotesUpdate(
        self, request: notes_pb2.ApplyNotesUpdateRequest, context: Any
    ) -> notes_pb2.ApplyNotesUpdateResponse:
        """Merge a change, by trying until nobody else has changed the notes meanwhile."""
        meeting, _ = await self._store.meeting(request.participant.split("/")[1])
        async with self._turns[meeting.id.int % TURNS]:
            for _ in range(ATTEMPTS):
                before = await self._notes.get(meeting)
                merged = await self._scribe.merge(before.document, request.update)
                check_size(merged)
                if await self._is_kept(meeting.code, request, before, merged):
                    self._herald.wake(meeting.id)
                    return notes_pb2.ApplyNotesUpdateResponse()
        raise Unavailable(text="Too many write in the notes at once: try again.")

    async def _is_kept(
        self,
        code: str,
        request: notes_pb2.ApplyNotesUpdateRequest,
        before: Notes,
        merged: Merged,
    ) -> bool:
        """Keep the notes and have the room told; False when they have changed since `before`."""
        now = self._clock.now()
        async with self._store.locked_meeting(code) as transaction:
            meeting, method = transaction.meeting, "NotesService.ApplyNotesUpdate"
            participant = await transaction.participant(_participant_id(request.participant))
            writer = present(meeting, participant)
            check(standing(meeting, writer.user_id, [writer]), method, meeting)
            if not is_granted(writer, method, meeting):
                raise NotesNotAllowed
            if merged.document == before.document:
                return True
            if not await put_notes(transaction, before, merged, now):
                return False
            updated = signaling_pb2.NotesUpdated(
                participant=participant.name, update=request.update
            )
            message = signaling_pb2.ServerMessage(notes_updated=updated)
            tell_room(transaction, [RoomEvent(message.SerializeToString())], now)
            return True


def _participant_id(name: str) -> UUID:
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise ParticipantNotFound(participant=name) from None


__all__ = ["NotesServicer"]
