"""Guests: people without an account, whom a meeting takes where its host says so. Pure: no I/O, no proto."""

from __future__ import annotations

from chassis.errors import PermissionDenied
from services.meeting.domain import Meeting


class GuestsNotAllowed(PermissionDenied):
    """The meeting takes people with an account alone. Sign in, or ask its host."""

    reason = "GUESTS_NOT_ALLOWED"
    message = "This meeting takes no guests: sign in, or ask its host."


def check_guests(meeting: Meeting, *, is_guest: bool) -> None:
    """See that somebody may come in without an account. Raises GuestsNotAllowed."""
    if is_guest and not meeting.settings.guests_allowed:
        raise GuestsNotAllowed(meeting=meeting.name)


__all__ = ["GuestsNotAllowed", "check_guests"]
