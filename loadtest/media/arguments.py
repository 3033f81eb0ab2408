"""The options of `python -m loadtest.media`, as a person types them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtest.media.payload import LARGEST_AUDIO

ADDRESS = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]\s]+)(:\d{1,5})?/?")
MOST_TRACKS = 60_000

ABOUT = """In each room there are as many participants as the larger of --publishers and --subscribers. The first
--publishers of them send sound and video; the first --subscribers receive everybody else's.

Every participant is a light client: real ICE, DTLS and SRTP, but no codecs. Packets say who sent them and when, and
carry a checksum; each subscriber follows the sequence numbers of each track, and checks what it decrypts. A packet
that has not come a second after it was missed is lost. Latencies are from just before a packet is sent to when the
kernel receives it, by this machine's clock; retransmissions are not in them.

The gateway limits how much one address may ask: start the stack with ./parley up --no-rate-limits.

Exit status: 0 everybody joined and nothing was corrupt; 1 somebody could not join, or something was corrupt;
2 wrong usage, or nothing answers; 3 the run is VOID, since the generator itself was short of CPU."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options. Exits with status 2 for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    receiving = options.subscribers * max(options.publishers, 1) * 2
    if options.rooms * receiving > MOST_TRACKS:
        parser.error(f"rooms x publishers x subscribers make more than {MOST_TRACKS:,} tracks")
    if not options.publishers + options.subscribers:
        parser.error("there is nobody in the rooms: say --publishers or --subscribers")
    if options.processes > options.rooms * max(options.publishers, options.subscribers):
        parser.error("--processes: more than there are participants")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.media",
        description="Fill rooms of a running Parley with light clients, and tell what becomes of their media.",
        epilog=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_rooms(parser)
    _add_media(parser)
    _add_run(parser)
    return parser


def _add_rooms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=_url,
        default="http://localhost:8000",
        help="the gateway's address, http or https (default: %(default)s)",
    )
    _number(parser, "--rooms", 1, 500, 1, "meetings")
    _number(parser, "--publishers", 0, 100, 2, "who send, in each room")
    _number(parser, "--subscribers", 0, 500, 2, "who receive, in each room")
    _number(parser, "--joining", 1, 64, 8, "who join at the same time, in each process")


def _add_media(parser: argparse.ArgumentParser) -> None:
    _number(parser, "--bitrate", 0, 8_000, 1_200, "kbit/s of each camera; 0: no video")
    _number(parser, "--fps", 1, 60, 30, "frames a second of each camera")
    _number(
        parser, "--audio-bytes", 0, LARGEST_AUDIO, 80, "of each of 50 packets a second; 0: no sound"
    )
    parser.add_argument(
        "--simulcast",
        action="store_true",
        help="send each camera in three layers: all, a third and an eighth of its bitrate",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    _number(parser, "--duration", 1, 600, 30, "seconds to go on after everybody has joined")
    _number(parser, "--verify", 1, 1_000, 1, "decrypt and check every N-th packet of a track")
    _number(parser, "--processes", 1, 64, 1, "among which the participants are divided")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDR",
        help="this machine's address to send media from (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _number(
    parser: argparse.ArgumentParser, name: str, least: int, most: int, default: int, text: str
) -> None:
    parser.add_argument(
        name,
        type=_between(least, most),
        default=default,
        metavar="N",
        help=f"{text}; {least} to {most} (default: %(default)s)",
    )


def _url(text: str) -> str:
    """Check an address: http(s)://host[:port], with nothing after it."""
    if ADDRESS.fullmatch(text) is None:
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
