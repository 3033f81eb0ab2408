"""Which of somebody's meetings are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from parley.meeting.v1 import meeting_pb2
from sqlalchemy import ColumnElement, true

from services.meeting.domain import MeetingState
from services.meeting.tables import MeetingRow

MAX_WORDS = 10


@dataclass(frozen=True, slots=True)
class MeetingFilter:
    """Words that are all in the title or the description, a state, a time of making; by default everything."""

    words: tuple[str, ...] = ()
    state: MeetingState | None = None
    hosted: bool = False
    start_time: datetime | None = None
    end_time: datetime | None = None

    @classmethod
    def of(
        cls, request: meeting_pb2.SearchMeetingsRequest, state: MeetingState | None
    ) -> MeetingFilter:
        """Read what is searched for; of many words, the first MAX_WORDS."""
        times = {
            name: getattr(request, name).ToDatetime(UTC)
            for name in ("start_time", "end_time")
            if request.HasField(name)
        }
        words = tuple(request.query.replace("\0", " ").split()[:MAX_WORDS])
        return cls(words, state, request.hosted, **times)

    def condition(self, user_id: UUID) -> ColumnElement[bool]:
        """Say it in SQL."""
        where: ColumnElement[bool] = true()
        for word in self.words:
            where &= MeetingRow.title.icontains(
                word, autoescape=True
            ) | MeetingRow.description.icontains(word, autoescape=True)
        if self.state is not None:
            where &= MeetingRow.state == self.state.value
        if self.hosted:
            where &= MeetingRow.host_id == user_id
        if self.start_time is not None:
            where &= MeetingRow.create_time >= self.start_time
        if self.end_time is not None:
            where &= MeetingRow.create_time < self.end_time
        return where


__all__ = ["MeetingFilter"]
