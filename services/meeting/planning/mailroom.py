"""The mailroom: writes to those who are invited, and has letters sent, again and again until a server has taken them.

A letter that is on its way when a process ends is sent again by another, under the same Message-ID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from email.errors import MessageError
from uuid import UUID

from chassis import logs
from chassis.clock import Clock
from chassis.errors import DomainError
from chassis.mail import Deliver, Mail, Outcome, count, hand_over
from services.meeting.planning.invitation import Invitation, InvitationState
from services.meeting.planning.invitation_letters import Occasion, Writer
from services.meeting.planning.invitation_store import Invitations, InvitationStore
from services.meeting.planning.store import schedule_in
from services.meeting.store import MeetingTransaction

AT_ONCE = 10
ROUND_SECONDS = 2.0
ROUNDS_TO_PRUNE = 1800

log = logs.get("meeting.mailroom")


class Mailroom:
    """Writes letters within transactions, and sends them beside."""

    def __init__(
        self,
        letters: InvitationStore,
        deliver: Deliver,
        sender: str,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._letters = letters
        self._deliver = deliver
        self._sender = sender
        self._public_url = public_url
        self._clock = clock
        self._woken = asyncio.Event()

    async def writer(self, transaction: MeetingTransaction, host: str, now: datetime) -> Writer:
        """Get somebody who writes about a meeting as this transaction has it now, in the name of a host."""
        scheduled = await schedule_in(transaction)
        meeting = transaction.meeting
        return Writer(meeting, scheduled, host or "Parley", self._sender, self._public_url, now)

    async def tell_all(
        self, transaction: MeetingTransaction, occasion: Occasion, host: str, now: datetime
    ) -> list[Invitation]:
        """Write to all who are invited; returns them. Letters that nobody has sent yet are not sent any more."""
        invitations = Invitations(transaction)
        writer = await self.writer(transaction, host, now)
        reachable = [e for e in await invitations.all() if e.state is not InvitationState.FAILED]
        unaware = await invitations.recall(reachable)
        if occasion is Occasion.CALLED_OFF:
            reachable = [each for each in reachable if each.id not in unaware]
        aware = await self.written(writer, occasion, [e for e in reachable if e.id not in unaware])
        new = await self.written(
            writer, Occasion.INVITED, [e for e in reachable if e.id in unaware]
        )
        for each, letter in (*aware, *new):
            invitations.send(each, letter, now)
        return reachable

    async def written(
        self, writer: Writer, occasion: Occasion, invited: Sequence[Invitation]
    ) -> list[tuple[Invitation, Mail]]:
        """Write to some, beside the event loop: a letter takes a millisecond."""

        def write() -> list[tuple[Invitation, Mail]]:
            is_new = occasion is Occasion.INVITED
            return [
                (each, writer.letter(occasion, each.email, each.language, each.words * is_new))
                for each in invited
            ]

        return await asyncio.to_thread(write)

    def wake(self) -> None:
        """There are letters to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        rounds = 0
        while True:
            try:
                while await self._send_some():
                    pass
                if rounds % ROUNDS_TO_PRUNE == 0:
                    await self._letters.prune(self._clock.now())
            except DomainError as error:
                log.info("letters wait", reason=error.reason)
            rounds += 1
            self._woken.clear()
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _send_some(self) -> bool:
        taken = await self._letters.take(self._clock.now(), AT_ONCE)
        for letter_id, attempts, mail in taken:
            outcome = await self._send(letter_id, mail)
            if await self._letters.done(letter_id, attempts, outcome, self._clock.now()):
                count(outcome)
        return len(taken) == AT_ONCE

    async def _send(self, letter_id: UUID, mail: Mail) -> Outcome:
        try:
            message = mail.message(self._sender, self._clock.now(), str(letter_id))
        except (ValueError, MessageError) as error:
            log.warning("letter can't be written", error=type(error).__name__)
            return Outcome.REFUSED
        return await hand_over(self._deliver, message)


__all__ = ["Mailroom"]
