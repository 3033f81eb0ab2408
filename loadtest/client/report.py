"""What a person sees, a row per case as it comes, and what a program reads: the same as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from loadtest.client.cases import Case, Outcome, Result
from loadtest.client.program import Report

COLOURS = {
    Outcome.PASSED: 32,
    Outcome.FAILED: 31,
    Outcome.NOT_BUILT: 33,
    Outcome.NOT_RUN: 33,
    Outcome.SKIPPED: 36,
}
"""ECMA-48 §8.3.117 (SGR)."""

LONGEST_NOTE = 160
HEADINGS = ("area", "case", "result", "ms", "note")
RESULT_WIDTH = max(len(outcome) for outcome in Outcome)
MILLISECONDS_WIDTH = 9


class Table:
    """Prints rows to a stream; `quiet` leaves out the cases that passed."""

    def __init__(self, cases: Sequence[Case], stream: TextIO, *, quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet
        self._has_headings = quiet
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._area_width = max(len(each.area) for each in cases)
        self._case_width = max(len(each.title) for each in cases)

    def show(self, result: Result) -> None:
        """Print what came of a case."""
        if self._quiet and result.outcome is Outcome.PASSED:
            return
        if not self._has_headings:
            self._begin()
        word = self._colour(result.outcome, result.outcome.ljust(RESULT_WIDTH))
        milliseconds = f"{result.milliseconds:.1f}" if result.milliseconds else "-"
        case = result.case
        self._row(case.area, case.title, word, milliseconds, _printable(result.note))

    def finish(self, report: Report) -> None:
        """Print what was left behind, and the counts."""
        for text in report.left_behind:
            print(f"left behind: {_printable(text)}", file=self._stream)
        counts = counts_of(report.results)
        shown = [self._colour(it, f"{counts[it]} {it}") for it in Outcome if counts[it]]
        seconds = sum(each.milliseconds for each in report.results) / 1000
        total = f"{len(report.results)} cases in {seconds:.1f} s"
        print(f"{total}: {', '.join(shown)}", file=self._stream, flush=True)

    def _begin(self) -> None:
        area, title, outcome, milliseconds, note = HEADINGS
        self._row(area, title, outcome.ljust(RESULT_WIDTH), milliseconds, note)
        self._has_headings = True

    def _row(self, area: str, title: str, result: str, milliseconds: str, note: str) -> None:
        start = f"{area:{self._area_width}}  {title:{self._case_width}}  {result}"
        line = f"{start}  {milliseconds:>{MILLISECONDS_WIDTH}}  {note}"
        print(line.rstrip(), file=self._stream, flush=True)

    def _colour(self, outcome: Outcome, text: str) -> str:
        return f"\x1b[{COLOURS[outcome]}m{text}\x1b[0m" if self._coloured else text


def counts_of(results: Sequence[Result]) -> Counter[Outcome]:
    """Count the results by what came of them."""
    return Counter(each.outcome for each in results)


def to_json(url: str, report: Report) -> str:
    """Write a report for programs: the address, the time, counts, cases, and the timing area's figures."""
    counts = counts_of(report.results)
    document = {
        "url": url,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {outcome.value: counts[outcome] for outcome in Outcome},
        "cases": [_case(each) for each in report.results],
        "figures": {name: round(value, 3) for name, value in report.figures.items()},
        "left_behind": list(report.left_behind),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _case(result: Result) -> dict[str, str | float]:
    return {
        "area": result.case.area,
        "case": result.case.title,
        "result": result.outcome.value,
        "milliseconds": round(result.milliseconds, 3),
        "note": result.note,
    }


def _printable(text: str) -> str:
    """Make one line of a text that may come from a server: no control characters, and not too long."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain if len(plain) <= LONGEST_NOTE else f"{plain[: LONGEST_NOTE - 1]}…"


__all__ = ["Table", "counts_of", "to_json"]
