"""The options, as a person types them; nothing here needs a package."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtest.client.areas import AREAS

MOST_REQUESTS = 10_000
MOST_CONNECTIONS = 200
MOST_PORT = 65_535
ADDRESS = r"https?://(\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]\s]+)(:(?P<port>\d{1,5}))?/?"

RESULTS = """results:
  passed     the answer is what the contract says
  failed     it is not
  not built  the server says that it does not have the method (501, UNIMPLEMENTED)
  not run    a case that this one needs did not pass
  skipped    there is nothing to try here, such as rate limits that are off

Each run makes an account of its own, with a random name, and deletes or ends what it made.
Exit status: 0 no case failed; 1 a case failed; 2 wrong usage, nothing answers, or a package is missing."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options. Exits with status 2 for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    if options.ca and not options.ca.is_file():
        parser.error(f"--ca: there is no file {options.ca}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.client",
        description="Walk a running Parley from outside, and tell what works and how long it takes.",
        epilog="\n".join(
            ["areas:", *(f"  {a:10} {text}" for a, text in AREAS.items()), "", RESULTS]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_where(parser)
    _add_what(parser)
    _add_output(parser)
    return parser


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=_url,
        default="http://localhost:8000",
        help="the gateway's address, http or https (default: %(default)s)",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", type=Path, metavar="FILE", help="trust this CA alone, a PEM file")
    trust.add_argument("--insecure", action="store_true", help="trust whatever certificate comes")


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        nargs="+",
        choices=AREAS,
        default=list(AREAS),
        metavar="AREA",
        help="try these areas, and the cases of others that they need (default: all)",
    )
    parser.add_argument(
        "--requests",
        type=_between(1, MOST_REQUESTS),
        default=100,
        metavar="N",
        help=f"of each timing case, 1 to {MOST_REQUESTS} (default: %(default)s)",
    )
    parser.add_argument(
        "--concurrency",
        type=_between(1, MOST_CONNECTIONS),
        default=10,
        metavar="C",
        help=f"connections of the second timing case, 1 to {MOST_CONNECTIONS} (default: %(default)s)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--quiet", action="store_true", help="print only what did not pass, and the summary"
    )


def _url(text: str) -> str:
    """Check an address: http(s)://host[:port], with nothing after it."""
    parts = re.fullmatch(ADDRESS, text)
    if parts is None or not 0 < int(parts["port"] or 1) <= MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not http(s)://host[:port]")
    return text.rstrip("/")


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return number


__all__ = ["parse"]
