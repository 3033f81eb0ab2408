"""Where people wait for a host's decision: a stream for each, which is woken when the lobby changes.

A stream that broke off is opened again, at any process: all that it needs stands in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from parley.meeting.v1 import participant_pb2

from chassis.clock import Clock
from services.meeting.domain import Meeting, Participant, ParticipantNotFound, ParticipantState
from services.meeting.gathering_store import GatheringStore
from services.meeting.joining.admission import Admissions
from services.meeting.joining.lobby import MAX_WAITING
from services.meeting.joining.lobby_watch import LobbyWatch
from services.meeting.shown import participant_proto
from services.meeting.store import Store

LOOK_SECONDS = 20.0
"""How often somebody who waits is seen to, and looks for a wake-up that was lost."""


class Vestibule:
    """Lets people wait."""

    def __init__(
        self,
        store: Store,
        gatherings: GatheringStore,
        admissions: Admissions,
        watch: LobbyWatch,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gatherings = gatherings
        self._admissions = admissions
        self._watch = watch
        self._clock = clock

    async def wait(
        self, code: str, participant_id: UUID, user_id: UUID
    ) -> AsyncIterator[participant_pb2.WaitForAdmissionResponse]:
        """Say how things stand, whenever they change; the decision is the last.

        Raises MeetingNotFound, MeetingEnded, ParticipantNotFound, ParticipantGone.
        """
        said = None
        with self._watch.watching(code) as woken:
            while True:
                woken.clear()
                meeting, participant = await self._look(code, participant_id, user_id)
                answer = await self._answer(meeting, participant)
                if answer != said:
                    said = answer
                    yield answer
                if participant.state is not ParticipantState.WAITING:
                    return
                await self._gatherings.still_waiting(participant_id, self._clock.now())
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    pass  # a lost wake-up is made good

    async def _look(
        self, code: str, participant_id: UUID, user_id: UUID
    ) -> tuple[Meeting, Participant]:
        meeting, _ = await self._store.meeting(code)
        found = await self._store.participants_of(meeting.id, [participant_id])
        participant = found.get(participant_id)
        if participant is None or participant.user_id != user_id:
            raise ParticipantNotFound
        meeting.check_open()
        return meeting, participant

    async def _answer(
        self, meeting: Meeting, participant: Participant
    ) -> participant_pb2.WaitForAdmissionResponse:
        answer = participant_pb2.WaitForAdmissionResponse(
            participant=participant_proto(participant, meeting)
        )
        if participant.state is ParticipantState.WAITING:
            waiting = await self._gatherings.waiting(meeting.id, MAX_WAITING)
            places = [each.id for each in waiting]
            is_listed = participant.id in places
            answer.ahead_count = places.index(participant.id) if is_listed else len(places)
        elif participant.is_here:
            _, count = await self._store.meeting(meeting.code)
            viewer = participant.user_id
            admission = self._admissions.answer(meeting, count, participant, viewer)
            answer.admission.CopyFrom(admission)
        return answer


__all__ = ["Vestibule"]
