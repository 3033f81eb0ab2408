"""`python -m services.ai.models`: list, fetch, build, verify and measure models by hand.

PARLEY_MODELS is the cache's folder, PARLEY_MODEL_MANIFESTS the operator's folder of manifests, if there is one.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.ai.models import store
from services.ai.models.errors import ModelError
from services.ai.models.manifest import TASKS, Manifest, manifests, named
from services.ai.models.sources import Listener

NICENESS = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 well, 1 not, 2 wrong usage."""
    parsed = _parser().parse_args(arguments)
    cache = Path(os.environ.get("PARLEY_MODELS", ""))
    operators = os.environ.get("PARLEY_MODEL_MANIFESTS", "")
    if not cache.is_absolute():
        print("PARLEY_MODELS is not an absolute path.", file=sys.stderr)
        return 2
    if parsed.beside:
        _beside()
    try:
        known = manifests(Path(operators) if operators else None)
        wanted = [named(known, name) for name in parsed.names] or known
        wanted = [each for each in wanted if not parsed.task or each.task == parsed.task]
        return _COMMANDS[parsed.command](wanted, cache)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./parley models", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("command", nargs="?", default="list", choices=sorted(_COMMANDS))
    parser.add_argument("names", nargs="*", metavar="NAME", help="which models (default: all)")
    parser.add_argument("--task", choices=TASKS, help="only models of a task")
    parser.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)
    return parser


def _beside() -> None:
    """Work beside a service: at low priority, and no longer than it holds standard input open."""
    os.nice(NICENESS)

    def end_with_parent() -> None:
        os.read(0, 1)  # not sys.stdin: its lock would be held while Python ends
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _list(wanted: Sequence[Manifest], cache: Path) -> int:
    for manifest, wrong in _judged(wanted, cache):
        languages = " ".join(manifest.languages)
        columns = f"{manifest.label:24} {manifest.task:16} {manifest.licence:12} {languages:8}"
        print(f"{columns} {', '.join(wrong) or 'ready'}")
    return 0


def _verify(wanted: Sequence[Manifest], cache: Path) -> int:
    status = 0
    for manifest, wrong in _judged(wanted, cache):
        print(f"{manifest.label:24} {', '.join(wrong) or 'good'}")
        status |= bool(wrong)
    return status


def _judged(wanted: Sequence[Manifest], cache: Path) -> Iterator[tuple[Manifest, list[str]]]:
    for manifest in wanted:
        yield manifest, store.problems(manifest, cache)


def _fetch(wanted: Sequence[Manifest], cache: Path) -> int:
    return _each(wanted, "fetched", lambda manifest, tell: store.fetch(manifest, cache, tell))


def _build(wanted: Sequence[Manifest], cache: Path) -> int:
    return _each(wanted, "ready", lambda manifest, tell: store.prepare(manifest, cache, tell))


def _bench(wanted: Sequence[Manifest], cache: Path) -> int:
    bench = importlib.import_module("services.ai.models.bench")  # loads what runs models
    for manifest in wanted:
        if manifest.task not in bench.MEASURES:
            print(f"{manifest.label:24} measured by ./parley bench ai")
            continue
        measure, what = bench.MEASURES[manifest.task]
        print(f"{manifest.label:24} {measure(store.ready(manifest, cache)):8.2f} ms for {what}")
    return 0


def _each(
    wanted: Sequence[Manifest], done: str, work: Callable[[Manifest, Listener], object]
) -> int:
    """Do all of them, going on after one that can't be had."""
    failures: list[ModelError] = []
    for manifest in wanted:
        try:
            with _shown(manifest) as tell:
                work(manifest, tell)
                tell(done, 1.0)
        except ModelError as error:
            failures.append(error)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


@contextmanager
def _shown(manifest: Manifest) -> Iterator[Listener]:
    """Show progress: a bar on a terminal, a line for each new thing elsewhere."""
    console = Console()
    if not console.is_terminal:
        told = ""

        def line(text: str, _done: float) -> None:
            nonlocal told
            if text != told:
                print(f"{manifest.label:24} {text}", flush=True)
                told = text

        yield line
        return
    columns = (
        TextColumn("{task.fields[label]:24} {task.description:48}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=1.0, label=manifest.label)
        yield lambda text, done: progress.update(bar, description=text, completed=done)


_COMMANDS: Mapping[str, Callable[[Sequence[Manifest], Path], int]] = {
    "list": _list,
    "fetch": _fetch,
    "build": _build,
    "verify": _verify,
    "bench": _bench,
}

if __name__ == "__main__":
    sys.exit(main())
