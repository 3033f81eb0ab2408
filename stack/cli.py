"""The commands of `./parley`, as a person types them."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stack import control, postgres
from stack.errors import StackError
from stack.report import table
from stack.secrets import Secrets
from stack.services import WITH_DATABASE, models
from stack.state import State, default_root
from stack.topology import MAX_MEDIA_WORKERS, MAX_REPLICAS, SERVICES, parse_replicas
from stack.up import Options, down, up, up_detached

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 well, 1 not, 2 wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for_pytest: list[str] = []
    if given[:1] == ["test"] and given[1:] not in (["-h"], ["--help"]):
        given, for_pytest = given[:1], given[1:]  # options that are pytest's, not ours
    parsed = _parser().parse_args(given)
    parsed.for_pytest = for_pytest
    try:
        return _COMMANDS[parsed.command](parsed)
    except StackError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./parley", description="Parley on one machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def with_state(name: str, text: str) -> argparse.ArgumentParser:
        sub = command(name, text)
        sub.add_argument(
            "--state",
            type=Path,
            default=default_root(ROOT),
            metavar="DIR",
            help="where all state lies (default: %(default)s)",
        )
        return sub

    begin = with_state("up", "Set everything up and run it; Ctrl-C stops it.")
    begin.add_argument(
        "--port-offset", type=int, default=0, metavar="N", help="add N to every port"
    )
    begin.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDR",
        help="where to listen (default: this machine alone)",
    )
    begin.add_argument(
        "--advertise",
        default="",
        metavar="ADDR,…",
        help="this machine's addresses, as browsers reach them for media; IPv4 and IPv6, the preferred first",
    )
    begin.add_argument(
        "--media-workers",
        type=int,
        default=min(2, os.cpu_count() or 1),
        metavar="N",
        help=f"media processes, 1 to {MAX_MEDIA_WORKERS} (default: one per core, at most 2)",
    )
    begin.add_argument(
        "--replicas",
        default="",
        metavar="NAME=N,…",
        help=f"how many of each service, 1 to {MAX_REPLICAS}: user=2,meeting=2 (default: one)",
    )
    begin.add_argument(
        "--tls", action="store_true", help="require HTTPS: plain HTTP is sent there (port 8443)"
    )
    begin.add_argument(
        "--no-rate-limits", action="store_true", help="for load tests: let everybody ask at will"
    )
    begin.add_argument(
        "--detach", action="store_true", help="return when it is ready, and leave it running"
    )
    with_state("down", "Stop what `up` has started.")
    with_state(
        "reload", "Have the gateway take parley.toml as it is now, without losing a request."
    )
    again = with_state(
        "restart", "Restart services one process after the other, without losing a request."
    )
    again.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(SERVICES)}, envoy or nginx (default: all services)",
    )
    with_state("status", "Show how each process does; fails when one is not ready.")
    logs = with_state("logs", "Show a process's log.")
    logs.add_argument(
        "name", metavar="NAME", help="a process of `status`, or nginx.access, envoy.access, stack"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.add_argument(
        "-n", "--lines", type=int, default=100, help="how many lines (default: %(default)s)"
    )
    models = with_state("models", "List, fetch, build, verify or measure the ai service's models.")
    models.add_argument(
        "rest",
        nargs="*",
        metavar="…",
        help="COMMAND [NAME …]: list, fetch, build, verify or bench; which models",
    )
    admin = with_state("admin", "Make the account with an e-mail address admin of this server.")
    admin.add_argument("address", metavar="EMAIL", help="the address of an account that exists")
    command("test", "Run all tests, or pytest with the arguments that follow.")
    command("check", "Format, lint, types, imports, protos, generated code, web, shell scripts.")
    command("gen", "Generate all of gen/ from protos/.")
    benches = command("bench", "Measure; prints tables and keeps JSON under loadtest/results/.")
    benches.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    with_state(
        "doctor",
        "Tell whether this machine has what Parley needs and whether people get through to what runs, and what to do if not.",
    )
    return parser


def _up(parsed: argparse.Namespace) -> int:
    advertise = _advertised(parsed.advertise, parsed.listen)
    options = Options(
        parsed.state.absolute(),
        parsed.port_offset,
        parsed.listen,
        advertise,
        parsed.media_workers,
        _replicas(parsed.replicas),
        not parsed.no_rate_limits,
        parsed.tls,
    )
    if not parsed.detach:
        return up(options)
    again = ["--state", str(options.state), "--port-offset", str(options.port_offset)]
    again += ["--listen", options.listen, "--advertise", ",".join(advertise)]
    again += ["--media-workers", str(options.media_workers), "--replicas", parsed.replicas]
    again += ["--tls"] * parsed.tls + ["--no-rate-limits"] * parsed.no_rate_limits
    return up_detached(options, again)


def _advertised(text: str, listen: str) -> tuple[str, ...]:
    """Read `--advertise`; without it, the address that is listened on. Raises StackError."""
    addresses = tuple(part.strip() for part in (text or listen).split(",") if part.strip())
    for address in addresses:
        try:
            is_every = ipaddress.ip_address(address).is_unspecified
        except ValueError:
            raise StackError(
                f"{address!r} is not an address: candidates take no names. Use --advertise ADDR."
            ) from None
        if is_every:
            raise StackError(
                "With --listen on every address, name this machine's own with --advertise ADDR."
            )
    return addresses


def _replicas(text: str) -> dict[str, int]:
    try:
        return parse_replicas(text)
    except ValueError as error:
        raise StackError(str(error)) from None


def _ask(parsed: argparse.Namespace) -> int:
    state = State(parsed.state)
    if not state.is_running():
        raise StackError(f"Nothing is running on {state.root}. Start it with ./parley up.")
    control.ask(state.run, parsed.command, getattr(parsed, "names", ()), print)
    return 0


def _status(parsed: argparse.Namespace) -> int:
    state = State(parsed.state)
    status = state.read_status()
    if not state.is_running() or status is None:
        print(f"Nothing is running on {state.root}. Start it with ./parley up.")
        return 1
    print(table(status, state))
    return 0 if all(process.state == "ready" for process in status.processes) else 1


def _logs(parsed: argparse.Namespace) -> int:
    state = State(parsed.state)
    path = state.log(parsed.name)
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in state.logs.glob("*.log"))) or "none yet"
        raise StackError(f"There is no log of {parsed.name!r} in {state.logs}. There are: {names}.")
    with path.open("rb") as log:
        sys.stdout.buffer.write(b"".join(log.readlines()[-parsed.lines :]))
        sys.stdout.flush()
        while parsed.follow:
            if path.stat().st_size < log.tell():
                log.seek(0)
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
            time.sleep(0.2)
    return 0


def _models(parsed: argparse.Namespace) -> int:
    state = State(parsed.state)
    state.create()
    environment = {**os.environ, **models(state)}
    command = [sys.executable, "-m", "services.ai.models", *parsed.rest]
    return subprocess.run(command, env=environment, check=False).returncode


def _admin(parsed: argparse.Namespace) -> int:
    state = State(parsed.state)
    status = state.read_status()
    if not state.is_running() or status is None:
        raise StackError(f"Nothing is running on {state.root}. Start it with ./parley up.")
    ports = {process.name: process.ports for process in status.processes}
    database = WITH_DATABASE["user"]
    password = Secrets(state.secrets).password(database)
    url = postgres.url(ports["postgres"]["sql"], database, password)
    command = [sys.executable, "-m", "services.user.promote", parsed.address]
    environment = {**os.environ, "PARLEY_DATABASE_URL": url}
    return subprocess.run(command, env=environment, check=False).returncode


def _developers(module: str) -> Any:
    """Import a module that only those who work on Parley need: what runs it must not depend on it."""
    return importlib.import_module(f"stack.{module}")


def _gen(_parsed: argparse.Namespace) -> int:
    _developers("codegen").main()
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": lambda parsed: down(State(parsed.state)),
    "reload": _ask,
    "restart": _ask,
    "status": _status,
    "logs": _logs,
    "models": _models,
    "admin": _admin,
    "test": lambda parsed: int(_developers("testing").run(parsed.for_pytest)),
    "check": lambda _: int(_developers("checks").run()),
    "gen": _gen,
    "bench": lambda parsed: int(_developers("bench").run(parsed.names)),
    "doctor": lambda parsed: int(_developers("doctor").run(State(parsed.state))),
}

__all__ = ["main"]
