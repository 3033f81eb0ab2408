"""ParticipantService: who is let in, what each may do, and what each agrees to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from parley.meeting.v1 import meeting_pb2, participant_pb2, participant_pb2_grpc

from services.meeting import audit
from services.meeting.call_peers import CallPeers
from services.meeting.desk import Desk
from services.meeting.domain import (
    Meeting,
    Participant,
    ParticipantGone,
    ParticipantNotFound,
)
from services.meeting.gathering_store import Opened
from services.meeting.joining.vestibule import Vestibule
from services.meeting.permissions import check
from services.meeting.roles import granted
from services.meeting.settings import Consent, EmotionsNotAllowed
from services.meeting.shown import (
    ROLES,
    caller,
    code_of,
    grants_from,
    participant_id_of,
    participant_proto,
)
from services.meeting.store import Store
from services.meeting.telling import Telling

SOURCES = {
    participant_pb2.MUTE_TARGET_AUDIO: ("microphone",),
    participant_pb2.MUTE_TARGET_VIDEO: ("camera",),
    participant_pb2.MUTE_TARGET_SCREEN: ("screen", "screen_audio"),
}
_ROLES = {value: role for role, value in ROLES.items()}


class ParticipantServicer(participant_pb2_grpc.ParticipantServiceServicer):
    """Runs meetings for their hosts, and keeps what participants agree to."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        vestibule: Vestibule,
        peers: CallPeers,
        telling: Telling,
        *,
        emotions_allowed: bool,
    ) -> None:
        self._store = store
        self._desk = desk
        self._vestibule = vestibule
        self._peers = peers
        self._telling = telling
        self._emotions_allowed = emotions_allowed

    async def GetParticipant(
        self, request: participant_pb2.GetParticipantRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Read a participant."""
        meeting, _ = await self._store.meeting(code_of(request.name))
        identifier = participant_id_of(request.name)
        found = (await self._store.participants_of(meeting.id, [identifier])).get(identifier)
        if found is None or found.user_id != caller():
            standing = await self._store.standing(meeting, caller())
            check(standing, "ParticipantService.GetParticipant", meeting)
        if found is None:
            raise ParticipantNotFound(participant=request.name)
        return participant_proto(found, meeting)

    async def WaitForAdmission(
        self, request: participant_pb2.WaitForAdmissionRequest, context: Any
    ) -> AsyncIterator[participant_pb2.WaitForAdmissionResponse]:
        """Say how things stand in the lobby, until the decision."""
        code, identifier = code_of(request.name), participant_id_of(request.name)
        async for answer in self._vestibule.wait(code, identifier, caller()):
            yield answer

    async def AdmitParticipant(
        self, request: participant_pb2.AdmitParticipantRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Let somebody in from the lobby."""
        identifier = participant_id_of(request.name)
        async with self._opened(request.name, "AdmitParticipant") as opened:
            before = opened.gathering.person(identifier)
            after = opened.gathering.admit(identifier)
            _note(opened, "participant.admit", before, after)
        return participant_proto(after, opened.gathering.meeting)

    async def AdmitAllParticipants(
        self, request: participant_pb2.AdmitAllParticipantsRequest, context: Any
    ) -> participant_pb2.AdmitAllParticipantsResponse:
        """Let in everyone who waits, as far as there is room."""
        method = "ParticipantService.AdmitAllParticipants"
        async with self._desk.opened(code_of(request.parent), method) as opened:
            gathering = opened.gathering
            admitted = gathering.admit_all()
            opened.transaction.audit(
                audit.done(gathering.now, caller(), "participant.admit", each.name)
                for each in admitted
            )
        return participant_pb2.AdmitAllParticipantsResponse(
            admitted_count=len(admitted), waiting_count=len(gathering.waiting())
        )

    async def DenyParticipant(
        self, request: participant_pb2.DenyParticipantRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Turn somebody in the lobby away."""
        identifier = participant_id_of(request.name)
        async with self._opened(request.name, "DenyParticipant") as opened:
            before = opened.gathering.person(identifier)
            after = opened.gathering.deny(identifier)
            _note(opened, "participant.deny", before, after)
        return participant_proto(after, opened.gathering.meeting)

    async def RemoveParticipant(
        self, request: participant_pb2.RemoveParticipantRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Take somebody out, and on request keep them out."""
        identifier = participant_id_of(request.name)
        async with self._opened(request.name, "RemoveParticipant") as opened:
            gathering = opened.gathering
            before, by = gathering.person(identifier), gathering.standing(caller())
            is_ban = request.ban and not await opened.transaction.is_banned(before.user_id)
            after = gathering.remove(identifier, by, ban=request.ban)
            action = "participant.ban" if request.ban else "participant.remove"
            _note(opened, action, None if is_ban else before, after)
        return participant_proto(after, gathering.meeting)

    async def SetParticipantRole(
        self, request: participant_pb2.SetParticipantRoleRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Give somebody another role; a new host takes the old one's place."""
        identifier, role = participant_id_of(request.name), _ROLES[request.role]
        async with self._opened(request.name, "SetParticipantRole") as opened:
            before = opened.gathering.person(identifier)
            after = opened.gathering.set_role(identifier, role, caller())
            _note(opened, "participant.set_role", before, after, role=role.value)
        return participant_proto(after, opened.gathering.meeting)

    async def SetParticipantGrants(
        self, request: participant_pb2.SetParticipantGrantsRequest, context: Any
    ) -> meeting_pb2.Participant:
        """Say what somebody may do from now on."""
        identifier, grants = participant_id_of(request.name), grants_from(request.grants)
        async with self._opened(request.name, "SetParticipantGrants") as opened:
            gathering = opened.gathering
            before, by = gathering.person(identifier), gathering.standing(caller())
            after = gathering.set_grants(identifier, grants, by)
            allowed = [name for name in grants.__slots__ if getattr(grants, name)]
            details = {"grants": " ".join(allowed)}
            _note(opened, "participant.set_grants", before, after, **details)
        return participant_proto(after, gathering.meeting)

    async def MuteParticipant(
        self, request: participant_pb2.MuteParticipantRequest, context: Any
    ) -> participant_pb2.MuteParticipantResponse:
        """Mute what somebody sends."""
        meeting, person = await self._other(request.name, "MuteParticipant")
        await self._peers.mute(meeting, [person], SOURCES[request.target])
        return participant_pb2.MuteParticipantResponse()

    async def MuteAllParticipants(
        self, request: participant_pb2.MuteAllParticipantsRequest, context: Any
    ) -> participant_pb2.MuteAllParticipantsResponse:
        """Mute what everyone but the hosts and co-hosts sends."""
        method = "ParticipantService.MuteAllParticipants"
        meeting, _ = await self._store.permitted(code_of(request.parent), caller(), method)
        here = await self._store.participants(meeting.id, None, meeting.capacity, with_left=False)
        others = [each for each in here if not granted(each, meeting).administer]
        count = await self._peers.mute(meeting, others, SOURCES[request.target]) if others else 0
        return participant_pb2.MuteAllParticipantsResponse(muted_count=count)

    async def AskToUnmute(
        self, request: participant_pb2.AskToUnmuteRequest, context: Any
    ) -> participant_pb2.AskToUnmuteResponse:
        """Ask somebody to unmute."""
        meeting, person = await self._other(request.name, "AskToUnmute")
        if not person.is_here:
            raise ParticipantGone(participant=person.name)
        own = await self._store.present_of(meeting.id, caller())
        requester = own[0].name if own else ""
        sources = SOURCES[request.target][:1]
        await self._peers.ask_to_unmute(meeting, person.name, requester, sources)
        return participant_pb2.AskToUnmuteResponse()

    async def SetConsent(
        self, request: participant_pb2.SetConsentRequest, context: Any
    ) -> participant_pb2.Consent:
        """Keep what the caller agrees to from now on."""
        wanted = request.consent
        consent = Consent(
            wanted.captions_declined, wanted.transcript, wanted.emotions, wanted.recording
        )
        if consent.emotions and not self._emotions_allowed:
            raise EmotionsNotAllowed
        code, identifier = code_of(request.name), participant_id_of(request.name)
        async with self._store.locked_meeting(code) as transaction:
            participant = await transaction.participant(identifier)
            if participant.user_id != caller():
                raise ParticipantNotFound(participant=request.name)
            if (before := participant.consent) != consent:
                await transaction.change(replace(participant, consent=consent))
                now = self._desk.now()
                transaction.audit(audit.agreed(now, caller(), participant.name, before, consent))
                transaction.change_meeting(transaction.meeting.reanalysed())
        self._telling.analysis_changed(code)
        return wanted

    def _opened(self, name: str, method: str) -> AbstractAsyncContextManager[Opened]:
        """Open the gathering of a participant who is named, for a caller who may do it."""
        method = f"ParticipantService.{method}"
        return self._desk.opened(code_of(name), method, participant_id_of(name))

    async def _other(self, name: str, method: str) -> tuple[Meeting, Participant]:
        """Find a participant to whom the caller may do something. Raises NotHost, ParticipantNotFound."""
        method, identifier = f"ParticipantService.{method}", participant_id_of(name)
        meeting, _ = await self._store.permitted(code_of(name), caller(), method)
        found = await self._store.participants_of(meeting.id, [identifier])
        if identifier not in found:
            raise ParticipantNotFound(participant=name)
        return meeting, found[identifier]


def _note(
    opened: Opened, action: str, before: Participant | None, after: Participant, **details: str
) -> None:
    """Have it audited, if it changes somebody."""
    if before != after:
        event = audit.done(opened.gathering.now, caller(), action, after.name, **details)
        opened.transaction.audit([event])


__all__ = ["ParticipantServicer"]
