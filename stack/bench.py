"""`./parley bench`: runs loadtest/bench_*.py, prints their tables, keeps their figures as JSON."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "loadtest" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that was measured, and the bar that it is held to (empty when there is none)."""

    name: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None


def names() -> list[str]:
    """List the benchmarks that there are."""
    return sorted(
        path.stem.removeprefix("bench_") for path in (ROOT / "loadtest").glob("bench_*.py")
    )


def run(chosen: Sequence[str]) -> int:
    """Run benchmarks by name (default: all). Returns 1 when a bar is not met. Raises StackError."""
    if unknown := set(chosen) - set(names()):
        raise StackError(
            f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names())}."
        )
    missed = False
    for name in chosen or names():
        figures: list[Figure] = importlib.import_module(f"loadtest.bench_{name}").main()
        keep(name, figures)
        print(f"\n{name}\n{table(figures)}", flush=True)
        missed = missed or any(figure.met is False for figure in figures)
    return 1 if missed else 0


def keep(name: str, figures: Sequence[Figure]) -> None:
    """Write figures to loadtest/results/{name}.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {
        "benchmark": name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "arch": platform.machine(),
            "python": platform.python_version(),
        },
        "figures": [
            {"name": f.name, "value": round(f.value, 4), "unit": f.unit, "bar": f.bar, "met": f.met}
            for f in figures
        ],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """Show figures as lines of text."""
    marks = {True: "met", False: "MISSED", None: ""}
    rows = [(f.name, f"{f.value:.3g} {f.unit}", f.bar, marks[f.met]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


__all__ = ["Figure", "keep", "names", "run", "table"]
