"""A stack as an operator sets it up for everybody to get through: IPv4 and IPv6, and a relay, also by name at its HTTPS port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from stack.certificates import issued
from stack.secrets import Secrets
from stack.state import State
from tests.relay import NAME, SECRET, Ports, coturn, coturn_running
from tests.running_stack import RunningStack, free_offset, stack_running
from tests.servers import free_port, open_folder

MORE = ("--no-rate-limits", "--advertise", "127.0.0.1,::1")


@dataclass(frozen=True, slots=True)
class Reachable:
    """The stack, and where its relay is: it runs only where coturn is installed."""

    stack: RunningStack
    relay: Ports


@contextmanager
def reachable_stack() -> Iterator[Reachable]:
    """Bring up such a stack, and its relay if it can be had."""
    ports = Ports(free_port(), free_port())
    with open_folder() as folder, ExitStack() as relay:
        state = State(folder)
        state.create()
        certificate = issued(Secrets(state.secrets).folder, (NAME,))
        state.settings.write_text(
            f"""
[tls]
names = ["{NAME}"]

[turn]
urls = ["turn:127.0.0.1:{ports.plain}?transport=udp", "turn:127.0.0.1:{ports.plain}?transport=tcp"]
secret = "{SECRET}"
tls_name = "{NAME}"
tls_upstream = "127.0.0.1:{ports.tls}"
"""
        )
        if coturn() is not None:
            relay.enter_context(coturn_running(folder, ports, certificate))
        with stack_running(folder, free_offset(), more=MORE) as running:
            yield Reachable(running, ports)


__all__ = ["Reachable", "reachable_stack"]
