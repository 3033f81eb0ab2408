"""Join tickets: what a participant may do, signed by the meeting service, for signaling to believe."""

from __future__ import annotations

from datetime import timedelta

from chassis.auth import ServiceIdentity
from services.meeting.domain import Meeting, Participant

AUDIENCE = "parley-signaling"
SOURCES = ("microphone", "camera", "screen", "screen_audio")


class Tickets:
    """Signs tickets that can be used for `lifetime`."""

    def __init__(self, identity: ServiceIdentity, lifetime: timedelta) -> None:
        self._identity = identity
        self.lifetime = lifetime

    def issue(self, meeting: Meeting, participant: Participant) -> str:
        """Sign a participant's ticket."""
        claims = {
            "sub": participant.name,
            "user": f"users/{participant.user_id}",
            "display_name": participant.display_name,
            "role": participant.role.value,
            "grants": {"publish": list(SOURCES), "subscribe": True},
            "voice_activity": meeting.voice_activity,
            "e2ee": meeting.end_to_end_encrypted,
        }
        return self._identity.sign(claims, AUDIENCE, self.lifetime)
