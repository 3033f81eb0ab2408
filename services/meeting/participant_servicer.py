"""ParticipantService, as far as it is built: what a participant agrees to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from parley.meeting.v1 import participant_pb2, participant_pb2_grpc

from chassis.auth import user_principal
from chassis.clock import Clock
from services.meeting import audit
from services.meeting.domain import ParticipantNotFound
from services.meeting.settings import Consent, EmotionsNotAllowed
from services.meeting.store import Store
from services.meeting.telling import Telling


class ParticipantServicer(participant_pb2_grpc.ParticipantServiceServicer):
    """Keeps what participants agree to."""

    def __init__(
        self, store: Store, telling: Telling, clock: Clock, *, emotions_allowed: bool
    ) -> None:
        self._store = store
        self._telling = telling
        self._clock = clock
        self._emotions_allowed = emotions_allowed

    async def SetConsent(
        self, request: participant_pb2.SetConsentRequest, context: Any
    ) -> participant_pb2.Consent:
        """Keep what the caller agrees to from now on."""
        caller, wanted = UUID(user_principal().user_id), request.consent
        consent = Consent(
            wanted.captions_declined, wanted.transcript, wanted.emotions, wanted.recording
        )
        if consent.emotions and not self._emotions_allowed:
            raise EmotionsNotAllowed
        _, code, _, identifier = request.name.split("/")
        try:
            participant_id = UUID(identifier)
        except ValueError:
            raise ParticipantNotFound(participant=request.name) from None
        async with self._store.locked_meeting(code) as transaction:
            participant = await transaction.participant(participant_id)
            if participant.user_id != caller:
                raise ParticipantNotFound(participant=request.name)
            await transaction.change(replace(participant, consent=consent))
            now, before = self._clock.now(), participant.consent
            transaction.audit(audit.agreed(now, caller, participant.name, before, consent))
            transaction.change_meeting(transaction.meeting.reanalysed())
        self._telling.analysis_changed(code)
        return wanted
