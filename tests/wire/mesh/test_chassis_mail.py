"""Mail, through a server that speaks SMTP and into a folder."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis import mail as mail_module
from chassis.clock import ManualClock
from chassis.mail import Mail, Mailer, Outbox, Smtp
from chassis.stopping import stop

PATIENCE_SECONDS = 20
LETTER = Mail("ann@example.org", "你好", "Hello.\n.\nA line with one dot is above.\n")


class Server:
    """A server that takes mail (RFC 5321), after it has answered `refusals` of RCPT with their codes."""

    def __init__(self, refusals: list[int] | None = None) -> None:
        self.taken: asyncio.Queue[str] = asyncio.Queue()
        self.refusals = refusals or []
        self.said: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            self.said.append(line)
            verb = line.partition(" ")[0].upper()
            if verb == "RCPT" and self.refusals:
                writer.write(f"{self.refusals.pop(0)} no\r\n".encode())
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.taken.put_nowait(text.decode())
                writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def sending(server: Server) -> AsyncIterator[Mailer]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        smtp = Smtp("127.0.0.1", port, security="none")
        mailer = Mailer(smtp.deliver, "Parley <parley@example.org>", ManualClock())
        running = asyncio.create_task(mailer.run())
        try:
            yield mailer
        finally:
            await stop(running)


async def taken(server: Server) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await server.taken.get()


async def test_a_mail_is_handed_to_the_server() -> None:
    server = Server()
    async with sending(server) as mailer:
        mailer.send(LETTER)
        text = await taken(server)
    assert "To: ann@example.org" in text
    assert "From: Parley <parley@example.org>" in text
    assert "\r\n..\r\n" in text
    assert any(said.upper().startswith("RCPT TO:<ANN@") for said in server.said)


async def test_a_server_that_is_busy_is_asked_again_and_others_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_module, "FIRST_DELAY_SECONDS", 0.0)
    server = Server([451, 451])
    async with sending(server) as mailer:
        mailer.send(LETTER)
        mailer.send(Mail("bob@example.org", "Second", "Text"))
        assert "ann@example.org" in await taken(server)
        assert "bob@example.org" in await taken(server)


async def test_a_mailbox_that_there_is_not_holds_nobody_up() -> None:
    server = Server([550])
    async with sending(server) as mailer:
        mailer.send(LETTER)
        mailer.send(Mail("bob@example.org", "Second", "Text"))
        assert "bob@example.org" in await taken(server)
    assert sum(said.upper().startswith("RCPT TO:<ANN") for said in server.said) == 1


async def test_an_address_can_not_smuggle_headers_in() -> None:
    mailer = Mailer(lambda _message: None, "parley@example.org", ManualClock())
    with pytest.raises(ValueError, match="Header"):
        mailer.send(Mail("ann@example.org\r\nBcc: all@example.org", "Hi", "Text"))


async def test_the_folder_has_the_last_mails_for_the_owner_alone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", limit=2)
    mailer = Mailer(outbox.deliver, "parley@example.org", ManualClock())
    running = asyncio.create_task(mailer.run())
    for name in ("first", "second", "third"):
        mailer.send(Mail("ann@example.org", name, "Text"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            texts = [path.read_text() for path in sorted(outbox.folder.glob("*.eml"))]
            if any("third" in text for text in texts) and len(texts) == 2:
                break
            await asyncio.sleep(0.01)
    await stop(running)
    assert "second" in texts[0]
    files = list(outbox.folder.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
