"""What `./parley doctor` finds of a stack that runs: over which ways people get through to it, and what stops the others.

It asks from this machine. What a firewall further away drops can't be seen from here; docs/network.md says how to look.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from services.meeting.joining.turn import Turn
from stack import nginx, settings, stun
from stack.certificates import authority_path
from stack.secrets import Secrets
from stack.services import LOOPBACK
from stack.state import ProcessStatus, StackStatus, State
from stack.stun import NotReached, Relay

Finding = tuple[bool, str]
"""Whether it is well, and a line that says what was found or what to do."""

DEFAULT_PORTS = {"turn": 3478, "turns": 5349}
"""RFC 7065 §3.2."""


def findings(state: State, status: StackStatus) -> Iterator[Finding]:
    """Try every way to a running stack. Raises StackError when parley.toml is wrong."""
    read = settings.load(state.settings)
    yield from _audience(status.advertise)
    secret = Secrets(state.secrets).password("probe")
    for process in status.processes:
        if "udp" in process.ports:
            yield from _worker(process, status.advertise, secret)
    yield _https(state, status, read)
    yield from _relays(state, status, read)


def _audience(advertise: Sequence[str]) -> Iterator[Finding]:
    """Say who can get media at all, by the addresses that are offered."""
    kinds = [ipaddress.ip_address(address) for address in advertise]
    if all(kind.is_loopback for kind in kinds):
        yield (
            True,
            "media is offered on this machine alone (and not to Firefox: it pairs no loopback address); ./parley up --listen … --advertise … opens it",
        )
    elif all(kind.is_private for kind in kinds):
        known = ", ".join(advertise)
        yield (
            True,
            f"media is offered at {known}: for people of this network alone, it is no public address",
        )


def _worker(process: ProcessStatus, advertise: Sequence[str], secret: str) -> Iterator[Finding]:
    port = process.ports["udp"]
    for address in advertise:
        for kind in ("UDP", "TCP"):
            place = f"{process.name} over {kind} at {_written(address)}:{port}"
            try:
                stun.check(address, port, secret, tcp=kind == "TCP")
            except NotReached as problem:
                yield False, f"{place} is not reached: {problem}. {_remedy(address, kind, port)}"
            else:
                yield True, f"{place} is reached"


def _remedy(address: str, kind: str, port: int) -> str:
    if address in LOOPBACK:
        return "See ./parley status and ./parley logs."
    if stun.is_local(address):
        return f"Let {kind} port {port} through this machine's firewall, in and out."
    return (
        f"{address} is no address of this machine: whatever has it (a router, the cloud's NAT) must pass {kind} port "
        f"{port} on to here, under the same number; if it is wrong, correct --advertise. Some routers answer only those "
        "who come from outside: then try from there."
    )


def _https(state: State, status: StackStatus, read: settings.Settings) -> Finding:
    host, port = nginx.reached(status.listen).strip("[]"), _port(status, "https")
    context = _trusting(state)
    context.check_hostname = not read.tls.certificate  # whose name is not ours to know
    try:
        stun.handshake(host, port, host, context)
    except NotReached as problem:
        return (
            False,
            f"HTTPS at {_written(host)}:{port} is not reached: {problem}. See ./parley logs nginx.",
        )
    return True, f"HTTPS at {_written(host)}:{port} is reached"


def _relays(state: State, status: StackStatus, read: settings.Settings) -> Iterator[Finding]:
    turn = read.turn
    if not turn.urls:
        ports = sorted({p.ports["udp"] for p in status.processes if "udp" in p.ports})
        shown = ", ".join(map(str, ports))
        yield (
            True,
            f"no TURN relay is set: who is let through to none of the ports {shown} gets no media",
        )
        return
    ways: list[tuple[Relay, stun.Address | None]] = [(relay_of(url), None) for url in turn.urls]
    if turn.tls_name:
        host, port = nginx.reached(status.listen).strip("[]"), _port(status, "https")
        ways.append((Relay("turns", turn.tls_name, port, "tcp"), (host, port)))
    server = Turn(turn.urls, turn.secret, timedelta(minutes=1)).server("doctor", datetime.now(UTC))
    for relay, at in ways:
        place = f"the relay {relay.scheme}:{_written(relay.host)}:{relay.port} over {relay.transport.upper()}"
        place += " through the HTTPS port" if at else ""
        try:
            stun.allocate(relay, server.username, server.credential, _trusting(state), at)
        except NotReached as problem:
            yield False, f"{place} does not serve: {problem}. {_relay_remedy(str(problem))}"
        else:
            yield True, f"{place} gives out addresses"


def _relay_remedy(problem: str) -> str:
    if "401" in problem:
        return "[turn] `secret` in parley.toml is not coturn's `static-auth-secret`, or its clock is wrong."
    return "See that coturn runs and its ports are open (docs/network.md)."


def relay_of(url: str) -> Relay:
    """Take a TURN address apart (RFC 7065 §3.1). Raises ValueError."""
    if (match := settings.TURN_URL.fullmatch(url)) is None:
        raise ValueError(url)
    scheme, host, port, transport = match.groups()
    default = "tcp" if scheme == "turns" else "udp"
    return Relay(scheme, host.strip("[]"), int(port or DEFAULT_PORTS[scheme]), transport or default)


def _trusting(state: State) -> ssl.SSLContext:
    """Trust what the system trusts, and the stack's own authority."""
    context = ssl.create_default_context()
    if (authority := authority_path(state.secrets)).exists():
        context.load_verify_locations(authority)
    return context


def _port(status: StackStatus, purpose: str) -> int:
    return next(p.ports[purpose] for p in status.processes if p.name == "nginx")


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


__all__ = ["Finding", "findings", "relay_of"]
