"""Join tickets: what a participant may do, signed by the meeting service, for signaling to believe.

Signaling asks again when the ticket is used, so that what was revoked meanwhile is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chassis.auth import ServiceIdentity
from services.meeting.domain import Meeting, Participant, ParticipantGone, ParticipantState
from services.meeting.roles import begins_muted, granted

AUDIENCE = "parley-signaling"


class Tickets:
    """Signs tickets that can be used for `lifetime`."""

    def __init__(self, identity: ServiceIdentity, lifetime: timedelta) -> None:
        self._identity = identity
        self.lifetime = lifetime

    def issue(self, meeting: Meeting, participant: Participant, now: datetime) -> str:
        """Sign a participant's ticket; it is good for no longer than its place is held. Raises ParticipantGone."""
        grants = granted(participant, meeting)
        claims = {
            "sub": participant.name,
            "user": f"users/{participant.user_id}",
            "display_name": participant.display_name,
            "role": participant.role.value,
            "grants": {"publish": grants.sources, "subscribe": grants.subscribe},
            "voice_activity": meeting.voice_activity,
            "e2ee": meeting.end_to_end_encrypted,
            "begins_muted": begins_muted(participant, meeting),
        }
        return self._identity.sign(claims, AUDIENCE, self._left(participant, now))

    def _left(self, participant: Participant, now: datetime) -> timedelta:
        if participant.state is ParticipantState.CONNECTED:
            return self.lifetime
        if not participant.holds_place(now, self.lifetime):
            raise ParticipantGone(participant=participant.name)
        return (participant.admit_time or participant.join_time) + self.lifetime - now


__all__ = ["AUDIENCE", "Tickets"]
