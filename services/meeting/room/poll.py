"""The rules of polls: who answers what, until when, and what is shown of it. Pure.

A poll counts as it is answered: `counts` and `voter_count` are always those of the answers that stand. What an anonymous
poll was answered by whom is kept while it is open, so that answers can be changed, and forgotten when it is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from services.meeting.domain import Meeting, NotPresenter, Participant

MAX_POLLS = 100
"""Of one meeting."""


class PollNotFound(NotFound):
    """There is no such poll in this meeting."""

    reason = "POLL_NOT_FOUND"
    message = "There is no such poll."


class PollClosed(FailedPrecondition):
    """The poll is closed, or its meeting is over: its result stands."""

    reason = "POLL_CLOSED"
    message = "The poll is closed."


class PollChoiceInvalid(InvalidArgument):
    """The poll has no such choice, or takes one alone. Choose by the positions of its choices."""

    reason = "POLL_CHOICE_INVALID"
    message = "The poll does not take this choice."


class TooManyPolls(ResourceExhausted):
    """The meeting has as many polls as one may have. Ask in another way."""

    reason = "TOO_MANY_POLLS"
    message = "This meeting has as many polls as one may have."


@dataclass(frozen=True, slots=True)
class Vote:
    """An account's answer: positions of choices, in order."""

    user_id: UUID
    participant_id: UUID
    choices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """A question, and how often each choice was taken."""

    id: UUID
    meeting_code: str
    question: str
    choices: tuple[str, ...]
    multiple: bool
    anonymous: bool
    live_results: bool
    creator_id: UUID
    creator_user_id: UUID
    create_time: datetime
    counts: tuple[int, ...]
    voter_count: int = 0
    close_time: datetime | None = None
    position: int = 0

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/polls/{id}`."""
        return f"meetings/{self.meeting_code}/polls/{self.id}"

    @property
    def is_open(self) -> bool:
        """Tell whether it can be answered."""
        return self.close_time is None

    @property
    def shows_counts(self) -> bool:
        """Tell whether the counts are shown."""
        return self.live_results or not self.is_open

    def as_of(self, meeting: Meeting) -> Poll:
        """Take it as its meeting is: what is over has no open polls."""
        if self.is_open and meeting.is_over:
            return replace(self, close_time=meeting.end_time)
        return self

    def answered(
        self, voter: Participant, choices: Iterable[int], before: Vote | None
    ) -> tuple[Poll, Vote | None]:
        """Take an answer in place of the one before; an empty one takes that back.

        Raises PollClosed, PollChoiceInvalid.
        """
        wanted = tuple(sorted(choices))
        if not self.is_open:
            raise PollClosed(poll=self.name)
        if (wanted and wanted[-1] >= len(self.choices)) or (len(wanted) > 1 and not self.multiple):
            raise PollChoiceInvalid(poll=self.name)
        had = before.choices if before is not None else ()
        counts = tuple(count + (at in wanted) - (at in had) for at, count in enumerate(self.counts))
        voter_count = self.voter_count + bool(wanted) - bool(had)
        after = replace(self, counts=counts, voter_count=voter_count)
        return after, Vote(voter.user_id, voter.id, wanted) if wanted else None

    def closed(self, by: UUID, now: datetime, *, presents: bool) -> Poll:
        """Close it; closing twice changes nothing. Raises NotPresenter."""
        if by != self.creator_user_id and not presents:
            raise NotPresenter(poll=self.name)
        return replace(self, close_time=now) if self.is_open else self


def check_count(count: int) -> None:
    """See that there is room for another question, after `count`. Raises TooManyPolls."""
    if count >= MAX_POLLS:
        raise TooManyPolls


__all__ = [
    "MAX_POLLS",
    "Poll",
    "PollChoiceInvalid",
    "PollClosed",
    "PollNotFound",
    "TooManyPolls",
    "Vote",
    "check_count",
]
