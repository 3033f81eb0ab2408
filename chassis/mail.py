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
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from enum import Enum
from pathlib import Path
from typing import Literal

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.config import ServiceConfig

QUEUE = 1000
OUTBOX_LIMIT = 200
"""Mails that the folder has; the oldest go."""
ATTEMPTS = 4
FIRST_DELAY_SECONDS = 2.0
TIMEOUT_SECONDS = 20.0

log = logs.get("chassis.mail")

_mails = telemetry.counter("mails", "Mails, by what became of them.", ("outcome",))


class Outcome(Enum):
    """What became of a mail that was handed over once."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in plain text; with a `calendar` (RFC 5545) it is a message of iMIP (RFC 6047), of its METHOD `method`."""

    to: str
    subject: str
    text: str
    calendar: bytes = b""
    method: str = ""

    def message(self, sender: str, now: datetime, message_id: str = "") -> EmailMessage:
        """Write it out; what would break a line of its head is a space there. Raises ValueError for what can't be."""
        message = EmailMessage()
        domain = sender.rpartition("@")[2].rstrip(">")
        message["From"] = sender
        message["To"] = self.to
        message["Subject"] = "".join(each if each.isprintable() else " " for each in self.subject)
        message["Date"] = format_datetime(now)
        message["Message-ID"] = (
            f"<{message_id}@{domain}>" if message_id else make_msgid(domain=domain)
        )
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(self.text)
        if self.calendar:
            said = self.calendar.decode()
            message.add_alternative(said, subtype="calendar", params={"method": self.method})
            message.add_attachment(
                self.calendar, maintype="application", subtype="ics", filename="invite.ics"
            )
        return message


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
    """A folder of mails (`*.eml`, RFC 5322) that an operator reads where there is no server.

    The oldest of a `kind` make room for newer ones of that kind alone.
    """

    folder: Path
    limit: int = OUTBOX_LIMIT
    kind: str = ""

    def deliver(self, message: EmailMessage) -> None:
        """Write a message, for the owner alone, and let the oldest go. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{self.kind}{time.time_ns()}-{uuid.uuid4().hex[:8]}.eml"
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_bytes(bytes(message))
        draft.replace(path)
        for old in sorted(self.folder.glob(f"{self.kind}*.eml"))[: -self.limit]:
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
        message = mail.message(self._sender, self._clock.now())
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
            outcome = await hand_over(self._deliver, message)
            if outcome is not Outcome.AWAY:
                count(outcome)
                return
            if attempt < ATTEMPTS:
                await asyncio.sleep(delay)
                delay *= 4
        count(Outcome.AWAY)


async def hand_over(deliver: Deliver, message: EmailMessage) -> Outcome:
    """Hand a message over, once."""
    try:
        await asyncio.to_thread(deliver, message)
    except OSError as error:
        log.warning("mail not delivered", error=type(error).__name__)
        return Outcome.REFUSED if _is_permanent(error) else Outcome.AWAY
    return Outcome.DELIVERED


def count(outcome: Outcome) -> None:
    """Count a mail that is delivered, or given up."""
    if outcome is Outcome.DELIVERED:
        _mails.labels("delivered").inc()
        return
    _mails.labels("failed").inc()
    log.error("mail given up")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailConfig(ServiceConfig):
    """Where a service's mail goes; without a server, it lies in the folder `outbox`, or, without that too, is not written."""

    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: str = field(default="", repr=False)
    mail_from: str = "Parley <parley@localhost>"
    outbox: Path | None = None

    def delivery(self, kind: str) -> Deliver:
        """Open the way that mail goes; `kind` begins the names of its files in the folder."""
        if self.smtp_host:
            return Smtp(
                self.smtp_host,
                self.smtp_port,
                self.smtp_security,
                self.smtp_username,
                self.smtp_password,
            ).deliver
        if self.outbox is not None:
            return Outbox(self.outbox, kind=kind).deliver
        return lambda _message: log.warning(
            "mail not written: there is neither a server nor a folder"
        )


def _is_permanent(error: OSError) -> bool:
    """Tell whether a server will never take it (5yz, RFC 5321 §4.2.1): others must not wait for that."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


__all__ = [
    "Deliver",
    "Mail",
    "MailConfig",
    "Mailer",
    "Outbox",
    "Outcome",
    "Smtp",
    "count",
    "hand_over",
]
