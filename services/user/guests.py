"""The rules of guests: people who come by a meeting's link, without an account. Pure: no I/O, no proto.

Nothing is kept of them but what the meeting does. Their token says which meeting they are guests of; the chassis lets it
pass for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from chassis.errors import InvalidArgument, PermissionDenied

ROLE = "guest"


class GuestsNotAllowed(PermissionDenied):
    """The meeting takes people with an account alone. Sign in, or ask its host."""

    reason = "GUESTS_NOT_ALLOWED"
    message = "This meeting takes no guests: sign in, or ask its host."


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest of a meeting, `meetings/{code}`."""

    id: UUID
    session_id: UUID
    display_name: str
    meeting: str
    create_time: datetime

    @property
    def claims(self) -> dict[str, Any]:
        """What their token says."""
        return {
            "sub": f"users/{self.id}",
            "sid": str(self.session_id),
            "role": ROLE,
            "name": self.display_name,
            "meeting": self.meeting,
        }


def new_guest(meeting: str, display_name: str, now: datetime) -> Guest:
    """Make a guest. Raises InvalidArgument for a name of blanks."""
    if not (display_name := display_name.strip()):
        raise InvalidArgument(fields={"display_name": "must not be empty"})
    return Guest(uuid4(), uuid4(), display_name, meeting, now)


__all__ = ["Guest", "GuestsNotAllowed", "new_guest"]
