"""PollService: proto to domain and back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import poll_pb2, poll_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting.domain import Meeting
from services.meeting.permissions import check, is_granted, known, may, present
from services.meeting.room.chat import ChatNotAllowed
from services.meeting.room.events import RoomEvent, tell_room
from services.meeting.room.herald import Herald
from services.meeting.room.poll import Poll, PollNotFound, Vote, check_count
from services.meeting.room.poll_store import Polls, PollStore
from services.meeting.store import MeetingTransaction, Store
from services.meeting.transcripts.transcript import one_line

DEFAULT_POLLS = 20


class PollServicer(poll_pb2_grpc.PollServiceServicer):
    """Asks questions and counts the answers."""

    def __init__(self, store: Store, polls: PollStore, herald: Herald, clock: Clock) -> None:
        self._store = store
        self._polls = polls
        self._herald = herald
        self._clock = clock

    async def CreatePoll(self, request: poll_pb2.CreatePollRequest, context: Any) -> poll_pb2.Poll:
        """Ask a question."""
        caller, wanted = _caller(), request.poll
        request_id = UUID(request.request_id) if request.request_id else None
        async with self._store.locked_meeting(_code(request.parent)) as transaction:
            polls, meeting = Polls(transaction), transaction.meeting
            if request_id and (before := await polls.asked_before(caller, request_id)):
                return poll_proto(before)
            person, _ = await transaction.actor(caller, "PollService.CreatePoll")
            check_count(count := await polls.count())
            poll = Poll(
                id=uuid4(),
                meeting_code=meeting.code,
                question=_line(wanted.question, "poll.question"),
                choices=tuple(
                    _line(choice.text, f"poll.choices[{at}].text")
                    for at, choice in enumerate(wanted.choices)
                ),
                multiple=wanted.multiple,
                anonymous=wanted.anonymous,
                live_results=wanted.live_results,
                creator_id=person.id,
                creator_user_id=caller,
                create_time=self._clock.now(),
                counts=(0,) * len(wanted.choices),
                position=count + 1,
            )
            polls.add(poll, request_id)
            self._tell(transaction, poll)
        self._herald.wake(meeting.id)
        return poll_proto(poll)

    async def GetPoll(self, request: poll_pb2.GetPollRequest, context: Any) -> poll_pb2.Poll:
        """Read a poll."""
        code, caller = _code(request.name), _caller()
        meeting, _ = await self._store.permitted(code, caller, "PollService.GetPoll")
        poll = await self._polls.get(meeting, _poll_id(request.name))
        (shown,) = await self._shown(meeting, [poll])
        return shown

    async def ListPolls(
        self, request: poll_pb2.ListPollsRequest, context: Any
    ) -> poll_pb2.ListPollsResponse:
        """List a meeting's polls, newest first."""
        code, caller = _code(request.parent), _caller()
        meeting, _ = await self._store.permitted(code, caller, "PollService.ListPolls")
        size = request.page_size or DEFAULT_POLLS
        found = await self._polls.page(meeting, paging.position(request.page_token), size + 1)
        token = paging.encode((str(found[size - 1].position),)) if len(found) > size else ""
        shown = await self._shown(meeting, found[:size])
        return poll_pb2.ListPollsResponse(polls=shown, next_page_token=token)

    async def VotePoll(self, request: poll_pb2.VotePollRequest, context: Any) -> poll_pb2.Poll:
        """Answer a poll; who may only read it is told whether it is closed."""
        caller, method = _caller(), "PollService.VotePoll"
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            polls, meeting = Polls(transaction), transaction.meeting
            standing = await transaction.standing(caller)
            check(standing, "PollService.GetPoll", meeting)
            poll = await polls.poll(_poll_id(request.name))
            voter = known(meeting, await transaction.latest_of(caller))
            before = await polls.vote(poll, caller)
            after, vote = poll.answered(voter, request.choices, before)
            check(standing, method, meeting)
            if not is_granted(present(meeting, voter), method, meeting):
                raise ChatNotAllowed
            if _choices(vote) != _choices(before):
                await polls.put_vote(poll, caller, vote)
                await polls.change(after)
                self._tell(transaction, after)
        self._herald.wake(meeting.id)
        (shown,) = await self._shown(meeting, [after])
        return shown

    async def ClosePoll(self, request: poll_pb2.ClosePollRequest, context: Any) -> poll_pb2.Poll:
        """Close a poll."""
        caller, now = _caller(), self._clock.now()
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            polls, meeting = Polls(transaction), transaction.meeting
            standing = await transaction.standing(caller)
            check(standing, "PollService.ClosePoll", meeting)
            before = await polls.poll(_poll_id(request.name))
            presents = may(standing, "PollService.ClosePoll/others")
            after = before.closed(caller, now, presents=presents)
            if after is not before:
                await polls.change(after)
                self._tell(transaction, after)
        self._herald.wake(meeting.id)
        (shown,) = await self._shown(meeting, [after])
        return shown

    async def _shown(self, meeting: Meeting, polls: Sequence[Poll]) -> list[poll_pb2.Poll]:
        """Show polls as the caller may see them: their own answers, and hosts who chose what."""
        caller = _caller()
        own = await self._polls.votes(polls, caller)
        by_all = await self._polls.votes(
            [poll for poll in polls if poll.shows_counts and not poll.anonymous]
            if await self._sees_voters(meeting, caller)
            else [],
            None,
        )
        return [poll_proto(poll, own.get(poll.id, ()), by_all.get(poll.id, ())) for poll in polls]

    async def _sees_voters(self, meeting: Meeting, caller: UUID) -> bool:
        return may(await self._store.standing(meeting, caller), "PollService.GetPoll/voters")

    def _tell(self, transaction: MeetingTransaction, poll: Poll) -> None:
        changed = signaling_pb2.PollChanged(poll=poll_proto(poll))
        payload = signaling_pb2.ServerMessage(poll_changed=changed).SerializeToString()
        tell_room(transaction, [RoomEvent(payload)], self._clock.now())


def poll_proto(
    poll: Poll, own: Collection[Vote] = (), votes: Collection[Vote] = ()
) -> poll_pb2.Poll:
    """Show a poll to whoever has answered `own`; `votes` are those whose voters are shown."""
    meeting = f"meetings/{poll.meeting_code}"
    choices = [
        poll_pb2.PollChoice(
            text=text,
            vote_count=poll.counts[at] if poll.shows_counts else 0,
            voters=[
                f"{meeting}/participants/{vote.participant_id}"
                for vote in votes
                if at in vote.choices
            ],
        )
        for at, text in enumerate(poll.choices)
    ]
    shown = poll_pb2.Poll(
        name=poll.name,
        question=poll.question,
        choices=choices,
        multiple=poll.multiple,
        anonymous=poll.anonymous,
        live_results=poll.live_results,
        state=poll_pb2.POLL_STATE_OPEN if poll.is_open else poll_pb2.POLL_STATE_CLOSED,
        voter_count=poll.voter_count,
        own_choices=[choice for vote in own for choice in vote.choices],
        creator=f"{meeting}/participants/{poll.creator_id}",
    )
    shown.create_time.FromDatetime(poll.create_time)
    if poll.close_time is not None:
        shown.close_time.FromDatetime(poll.close_time)
    return shown


def _line(text: str, field: str) -> str:
    """Take out what no line has. Raises InvalidArgument where nothing is left."""
    if not (line := one_line(text)):
        raise InvalidArgument(fields={field: "it is empty"})
    return line


def _choices(vote: Vote | None) -> Collection[int]:
    return vote.choices if vote is not None else ()


def _poll_id(name: str) -> UUID:
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise PollNotFound(poll=name) from None


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _code(name: str) -> str:
    """Cut the code out of `meetings/{code}` and what may follow, which the contract has seen to."""
    return name.split("/")[1]


__all__ = ["PollServicer", "poll_proto"]
