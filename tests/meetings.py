"""A meeting, for tests of what is pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from services.meeting.domain import Meeting, MeetingState

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOST = UUID(int=1)


def a_meeting(**values: object) -> Meeting:
    """Make a meeting that goes on, but for what is said otherwise."""
    made = Meeting(
        id=uuid4(),
        code="abc-defg-hij",
        title="Daily",
        description="",
        host_id=HOST,
        state=MeetingState.ACTIVE,
        passcode="",
        capacity=10,
        locked=False,
        voice_activity=True,
        create_time=NOW,
        update_time=NOW,
        start_time=NOW,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # replace() takes any field


__all__ = ["HOST", "NOW", "a_meeting"]
