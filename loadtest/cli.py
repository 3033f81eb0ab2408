"""The commands of `python -m loadtest`, as a person types them."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from loadtest.contract import ContractError, Method, contract
from loadtest.ghz_report import FORMATS, Report
from loadtest.runner import Requests, run
from loadtest.scenario import (
    MOST_CALLS,
    MOST_PER_SECOND,
    MOST_SECONDS,
    MOST_WORKERS,
    Scenario,
    ScenarioError,
    checked,
    load,
    located,
)
from loadtest.variables import MOST_IN_POOL, POOL, POOLS, SetupError, Variables, makeable

HOST = "127.0.0.1:8000"

ABOUT_RUN = f"""The files are configurations of ghz, which runs them too: loadtest/scenarios/ has one for each method.
What a file reads from LOAD_ variables that are not set (a token, a meeting) is made first, for that file alone.
At most {MOST_CALLS:,} calls, {MOST_WORKERS} at once, {MOST_PER_SECOND:,} a second, {MOST_SECONDS:.0f} seconds.

The gateway limits how much one address and one user may ask; beyond that it answers RESOURCE_EXHAUSTED, which the
report shows. To measure the services instead, start the stack with ./parley up --no-rate-limits.

Exit status: 0 every call went well, or the server says that it has not built the method (UNIMPLEMENTED);
1 calls failed; 2 a file is wrong, or what it needs can't be had."""

ABOUT_TOKEN = f"""Registers an account that nobody needs afterwards, makes a meeting with it, and prints what scenarios read:
  eval "$(python -m loadtest token)" && ghz --config loadtest/scenarios/get_meeting.json
  ghz -m "$(python -m loadtest token --format metadata)" --config loadtest/scenarios/get_user.json

Access tokens are good for 15 minutes, tickets for 10, LOAD_SESSION_TOKEN for 30 seconds. LOAD_ADMIN_TOKEN can't
be made: an administrator has it. Each value of {", ".join(sorted(POOLS))} works once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 well, 1 calls failed, 2 nothing could be run."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(uvloop.run(COMMANDS[parsed.command](parsed)))
    except (ScenarioError, ContractError, SetupError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description="Load for Parley.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, more: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    _add_run(
        command("run", "Run scenarios, one after the other, and report as ghz does.", ABOUT_RUN)
    )
    _add_token(command("token", "Make what ghz needs to run our scenarios.", ABOUT_TOKEN))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--host", help="host:port, in place of the files'; needed to leave this machine"
    )
    parser.add_argument("--total", type=_from_to(1, MOST_CALLS), metavar="N", help="how many calls")
    parser.add_argument(
        "--concurrency", type=_from_to(1, MOST_WORKERS), metavar="N", help="how many at once"
    )
    parser.add_argument(
        "--rps",
        type=_from_to(0, MOST_PER_SECOND),
        metavar="N",
        help="how many a second; 0: no limit",
    )
    parser.add_argument(
        "--duration",
        type=_from_to(1, int(MOST_SECONDS)),
        metavar="S",
        help="begin calls for so many seconds; without --total, as many as it takes",
    )
    parser.add_argument("--format", choices=FORMATS, default="summary")
    parser.add_argument("--output", type=_new_file, metavar="F", help="write the report there")
    parser.add_argument(
        "--token", metavar="T", help="use this access token; needed for administrators' methods"
    )
    _add_tls(parser)


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=HOST, help="host:port (default: %(default)s)")
    parser.add_argument(
        "--pool",
        type=_from_to(1, MOST_IN_POOL),
        default=POOL,
        metavar="N",
        help="how many of what is good for one call (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=WRITERS,
        default="shell",
        help="shell: exports; metadata: the JSON for ghz -m; json: everything (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=_new_file, metavar="F", help="write it there, for you alone to read"
    )
    _add_tls(parser)


def _add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cacert", default="", metavar="FILE", help="speak TLS, and trust this CA (PEM)"
    )


def _from_to(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return number


def _new_file(text: str) -> Path:
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


async def _run(parsed: argparse.Namespace) -> int:
    scenarios = [_changed(load(path), parsed) for path in parsed.files]
    methods = [contract(located(each.protoset)).method(each.call) for each in scenarios]
    reports = [
        await _one(scenario, method, parsed.token)
        for scenario, method in zip(scenarios, methods, strict=True)
    ]
    text = FORMATS[parsed.format](reports)
    if parsed.output:
        parsed.output.write_text(text)
    else:
        print(text, end="")
    for each in reports:
        if each.is_not_built:
            print(f"not built: {each.scenario.call} answers UNIMPLEMENTED", file=sys.stderr)
    return 0 if all(each.is_good or each.is_not_built for each in reports) else 1


def _changed(scenario: Scenario, parsed: argparse.Namespace) -> Scenario:
    """Apply the options to what a file says. Raises ScenarioError."""
    if not parsed.host and not _is_loopback(scenario.host):
        raise ScenarioError(f"{scenario.path}: {scenario.host} is another machine: say --host")
    changes: dict[str, Any] = {
        name: value
        for name in ("host", "total", "concurrency", "rps", "duration")
        if (value := getattr(parsed, name)) is not None
    }
    if parsed.cacert:
        changes |= {"insecure": False, "cacert": parsed.cacert}
    if parsed.duration:  # with --total too, whichever is reached first
        changes["max_duration"] = float(parsed.duration) if parsed.total else 0.0
    concurrency = changes.get("concurrency", scenario.concurrency)
    changes["connections"] = min(scenario.connections, concurrency)
    try:
        return checked(replace(scenario, **changes))
    except ValueError as error:
        raise ScenarioError(f"{scenario.path}: {error}") from None


async def _one(scenario: Scenario, method: Method, token: str | None) -> Report:
    """Run one scenario, with what it needs. Raises ScenarioError, SetupError."""
    environment = dict(os.environ)
    if token:
        environment |= {"LOAD_TOKEN": token, "LOAD_ADMIN_TOKEN": token}
    needed = Requests(scenario, method, {}).variables
    scenario = _within_pool(scenario, needed - environment.keys())
    variables = Variables(scenario, environment, pool=scenario.most_calls)
    try:
        await variables.provide(needed)
        return await run(scenario, method, variables.values)
    finally:
        await variables.close()


def _within_pool(scenario: Scenario, missing: frozenset[str]) -> Scenario:
    """Keep a scenario whose calls each use something up to as many as can be made. Raises ScenarioError."""
    if not missing & POOLS:
        return scenario
    if scenario.duration and not scenario.max_duration:
        return replace(scenario, max_duration=scenario.duration)
    if scenario.most_calls > MOST_IN_POOL:
        raise ScenarioError(
            f"{scenario.path}: each call uses something up that is made first: at most {MOST_IN_POOL} calls"
        )
    return scenario


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


async def _token(parsed: argparse.Namespace) -> int:
    insecure = not parsed.cacert
    target = Scenario(Path("token"), host=parsed.host, insecure=insecure, cacert=parsed.cacert)
    variables = Variables(target, {}, parsed.pool)
    try:
        await variables.provide(NEEDED.get(parsed.format) or makeable())
    finally:
        await variables.close()
    text = WRITERS[parsed.format](variables.values)
    if parsed.output:
        parsed.output.touch(0o600)
        parsed.output.write_text(text)
    else:
        print(text, end="")
    return 0


def _exports(values: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(values[name])}\n" for name in sorted(values))


def _metadata(values: Mapping[str, str]) -> str:
    return json.dumps({"authorization": f"Bearer {values['LOAD_TOKEN']}"}) + "\n"


WRITERS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "shell": _exports,
    "metadata": _metadata,
    "json": lambda values: json.dumps(values, indent=2, sort_keys=True) + "\n",
}
NEEDED = {"metadata": frozenset({"LOAD_TOKEN"})}
"""The variables that a form needs; the others need all."""
COMMANDS = {"run": _run, "token": _token}

__all__ = ["main"]
