"""Mail: handed over at once, delivered beside; through SMTP (RFC 5321), or into a folder where there is none.

Who hands a mail over neither waits nor learns whether it arrives, so that an answer tells nothing of a mailbox. A mail is
tried a few times; one that is on its way when the process ends is lost, and its reader asks for another.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Literal

from chassis import logs, telemetry
from chassis.clock import Clock

QUEUE = 1000
OUTBOX_LIMIT = 200
"""Mails that the folder has; the oldest go."""
ATTEMPTS = 4
FIRST_DELAY_SECONDS = 2.0
TIMEOUT_SECONDS = 20.0

log = logs.get("chassis.mail")

_mails = telemetry.counter("mails", "Mails, by what became of them.", ("outcome",))


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in plain text."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Smtp:
    """A server that takes mail. `security`: TLS after the greeting, from the beginning, or not at all."""

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""

    def deliver(self, message: EmailMessage) -> None:
        """Hand a message over; takes long. Raises OSError, of which smtplib's errors are."""
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, self.password)
            server.send_message(message)


@dataclass(frozen=True, slots=True)
class Outbox:
    """A folder of mails (`*.eml`, RFC 5322) that an operator reads where there is no server."""

    folder: Path
    limit: int = OUTBOX_LIMIT

    def deliver(self, message: EmailMessage) -> None:
        """Write a message, for the owner alone, and let the oldest go. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.eml"
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_bytes(bytes(message))
        draft.replace(path)
        for old in sorted(self.folder.glob("*.eml"))[: -self.limit]:
            old.unlink(missing_ok=True)


Deliver = Callable[[EmailMessage], None]


class Mailer:
    """Takes mails and has them delivered, one after another."""

    def __init__(self, deliver: Deliver, sender: str, clock: Clock) -> None:
        self._deliver = deliver
        self._sender = sender
        self._clock = clock
        self._waiting: asyncio.Queue[EmailMessage] = asyncio.Queue(QUEUE)

    def send(self, mail: Mail) -> None:
        """Take a mail; it is dropped where too many wait."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2].rstrip(">"))
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(mail.text)
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            _mails.labels("dropped").inc()
            log.error("mail dropped: too many wait")

    async def run(self) -> None:
        """Deliver what was taken, for ever."""
        while True:
            await self._try(await self._waiting.get())

    async def _try(self, message: EmailMessage) -> None:
        delay = FIRST_DELAY_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await asyncio.to_thread(self._deliver, message)
            except OSError as error:
                log.warning("mail not delivered", error=type(error).__name__, attempt=attempt)
                if _is_permanent(error):
                    break
                if attempt < ATTEMPTS:
                    await asyncio.sleep(delay)
                    delay *= 4
            else:
                _mails.labels("delivered").inc()
                return
        _mails.labels("failed").inc()
        log.error("mail given up")


def _is_permanent(error: OSError) -> bool:
    """Tell whether a server will never take it (5yz, RFC 5321 §4.2.1): others must not wait for that."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


__all__ = ["Deliver", "Mail", "Mailer", "Outbox", "Smtp"]
