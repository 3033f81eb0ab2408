"""One HTTPS port for the app and for the relay: a real Nginx tells them apart by name, and HTTPS is as it was."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stack import nginx, ready
from stack.certificates import authority_path, issued
from stack.secrets import Secrets
from stack.settings import Access, Settings, Tls, Turn
from stack.state import State
from stack.topology import topology
from tests.relay import NAME
from tests.running_stack import eventually, free_offset
from tests.servers import open_folder

GREETING = b"I am the relay"


@dataclass(frozen=True, slots=True)
class Edge:
    """An Nginx that runs, and what it was told."""

    gateway: nginx.Gateway
    pid: int

    @property
    def port(self) -> int:
        return self.gateway.layout.port("nginx", "https")

    def ask(
        self, name: str, source: str = "127.0.0.1", request: bytes = b""
    ) -> tuple[bytes, bytes]:
        """Connect from an address and ask for a name; returns the certificate that was shown and what was said."""
        context = ssl.create_default_context(cafile=authority_path(self.gateway.secrets.folder))
        with (
            socket.create_connection(("127.0.0.1", self.port), 10, (source, 0)) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            secure.sendall(request)
            return secure.getpeercert(binary_form=True) or b"", secure.recv(4096)


@contextlib.contextmanager
def stand_in(folder: Path) -> Iterator[int]:
    """Run a TLS server with a certificate of its own in the relay's place; it greets whoever comes."""
    found = issued(Secrets(folder).folder, (NAME,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate, found.key)
    listening = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as it:
                it.sendall(GREETING)

    thread = threading.Thread(target=greet, name="relay")
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Run an Nginx with a relay behind its HTTPS port, and nothing else: no Envoy, no services."""
    with open_folder() as folder:
        state = State(folder)
        state.create()
        secrets = Secrets(state.secrets)
        (folder / "relay").mkdir()
        issued(
            secrets.folder, ()
        )  # makes the authority, which the relay's certificate shall be of as well
        for name in ("authority.pem", "authority.key"):
            (folder / "relay" / name).write_bytes((secrets.folder / name).read_bytes())
        (state.run / "www" / "app").mkdir(parents=True)
        (state.run / "www" / "app" / "index.html").write_text("the app")
        with stand_in(folder / "relay") as port:
            settings = Settings(
                tls=Tls(names=("meet.localhost",)),
                access=Access(deny=("127.0.0.66/32",)),
                turn=Turn(tls_name=NAME, tls_upstream=f"127.0.0.1:{port}"),
            )
            gateway = nginx.Gateway(
                topology(free_offset()), state, secrets, "127.0.0.1", (), settings
            )
            nginx.write(gateway)
            process = subprocess.Popen(gateway.command(), cwd=state.run)
            try:
                url = f"http://127.0.0.1:{gateway.layout.port('nginx', 'http')}/healthz"
                eventually(lambda: asyncio.run(ready.http_ok(url)), "Nginx answers")
                yield Edge(gateway, process.pid)
            finally:
                process.terminate()
                process.wait()


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PAGE = b"GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_the_relays_name_leads_to_the_relay_and_every_other_to_https(edge: Edge) -> None:
    relays, greeting = edge.ask(NAME)
    assert greeting == GREETING
    for name in ("localhost", "meet.localhost"):
        shown, answer = edge.ask(name, request=HEALTH)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert shown != relays


def test_https_still_knows_who_comes(edge: Edge) -> None:
    edge.ask("localhost", "127.0.0.9", PAGE)
    log = edge.gateway.state.logs / "nginx.access.log"
    eventually(lambda: '"remote":"127.0.0.9"' in log.read_text(), "the access log names 127.0.0.9")


def test_who_may_not_come_in_gets_neither(edge: Edge) -> None:
    assert edge.ask("localhost", "127.0.0.65", PAGE)[1].startswith(b"HTTP/1.1 200 ")
    assert edge.ask("localhost", "127.0.0.66", PAGE)[1].startswith(b"HTTP/1.1 403 ")
    with pytest.raises(OSError, match=r"."):
        edge.ask(NAME, "127.0.0.66")


def test_who_speaks_http_to_the_https_port_is_still_told(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), 10) as plain:
        plain.sendall(HEALTH)
        assert b"HTTPS_ONLY" in plain.recv(4096)


def test_nobody_else_can_speak_in_anothers_name(edge: Edge) -> None:
    folder = edge.gateway.state.run / "inside"
    assert folder.stat().st_mode & 0o007 == 0
    assert {each.name for each in folder.iterdir()} == {"https.sock", "relay.sock"}
    with socket.create_connection(("127.0.0.1", edge.port), 10) as plain:
        plain.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n" + HEALTH)
        assert b"200 OK" not in plain.recv(4096)


def test_the_relay_comes_and_goes_with_a_reload(edge: Edge) -> None:
    alone = replace(edge.gateway, settings=replace(edge.gateway.settings, turn=Turn()))
    shown, _ = edge.ask("localhost", request=HEALTH)

    def leads_to(expected: bytes) -> bool:
        time.sleep(0.1)
        try:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with (
                socket.create_connection(("127.0.0.1", edge.port), 10) as plain,
                context.wrap_socket(plain, server_hostname=NAME) as secure,
            ):
                return (secure.getpeercert(binary_form=True) == shown) == (expected == b"https")
        except OSError:
            return False

    asyncio.run(nginx.reload(alone, edge.pid))
    eventually(lambda: leads_to(b"https"), "the port is HTTPS' alone")
    asyncio.run(nginx.reload(edge.gateway, edge.pid))
    eventually(lambda: leads_to(b"relay"), "the relay is back")
    assert edge.ask("localhost", request=HEALTH)[1].startswith(b"HTTP/1.1 200 ")
