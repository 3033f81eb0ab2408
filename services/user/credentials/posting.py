"""Links on their way to people's mailboxes.

Who asks for a new password waits for nothing that depends on whether there is such an account: that is looked up beside.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from chassis import logs
from chassis.clock import Clock
from chassis.errors import DomainError
from chassis.mail import Mail, Mailer
from services.user.credentials.letters import letter
from services.user.credentials.rules import Purpose, TooManyMails, new_link
from services.user.credentials.store import CredentialStore

QUEUE = 1000
LATER_SECONDS = 3600.0

log = logs.get("user.posting")


@dataclass(frozen=True, slots=True)
class _Wanted:
    email: str
    language: str


class Posting:
    """Makes links and has them sent."""

    def __init__(
        self, store: CredentialStore, mailer: Mailer, public_url: str, clock: Clock
    ) -> None:
        self._store = store
        self._mailer = mailer
        self._public_url = public_url
        self._clock = clock
        self._wanted: asyncio.Queue[_Wanted] = asyncio.Queue(QUEUE)

    async def letter(self, user_id: UUID, email: str, purpose: Purpose, language: str) -> Mail:
        """Make a link and write the mail with it, to be sent once the link is committed. Raises TooManyMails."""
        link, token = new_link(user_id, email, purpose, self._clock.now())
        if not await self._store.add_link(link, self._clock.now()):
            raise TooManyMails(retry_after=LATER_SECONDS)
        return letter(link, token, self._public_url, language)

    def send(self, mail: Mail) -> None:
        """Have a mail sent."""
        self._mailer.send(mail)

    async def send_verification(self, user_id: UUID, email: str, language: str) -> None:
        """Send a link that proves an address, unless enough are on their way."""
        try:
            self.send(await self.letter(user_id, email, Purpose.VERIFY, language))
        except TooManyMails:
            log.info("enough verification links are good")

    def reset_wanted(self, email: str, language: str) -> None:
        """Take that somebody wants a new password; nothing is told of whether there is an account."""
        try:
            self._wanted.put_nowait(_Wanted(email, language))
        except asyncio.QueueFull:
            log.error("request for a new password dropped: too many wait")

    async def run(self) -> None:
        """Send links for new passwords, for ever."""
        while True:
            wanted = await self._wanted.get()
            try:
                await self._send_reset(wanted)
            except DomainError as error:
                log.info("no link for a new password sent", reason=error.reason)

    async def _send_reset(self, wanted: _Wanted) -> None:
        if (user_id := await self._store.mailbox(wanted.email)) is not None:
            email = wanted.email.lower()
            self.send(await self.letter(user_id, email, Purpose.RESET, wanted.language))


__all__ = ["Posting"]
