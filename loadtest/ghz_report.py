"""What a run has measured, in ghz's two forms: the summary that people read, and the JSON that programs read.

Key names, units (nanoseconds; histogram marks in seconds), rounding and percentiles are ghz's, so that whatever reads
its reports reads ours. As with ghz, latencies are those of the calls that went well, unless `count-errors` says
otherwise; `average` and `rps` are of all calls.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc

from loadtest.scenario import Scenario

PERCENTAGES = (10, 25, 50, 75, 90, 95, 99)
BUCKETS = 10
BAR = "∎"
LONGEST_BAR = 40
NANOSECONDS = 1_000_000_000

SPELLED = {code: code.name.title().replace("_", "") for code in grpc.StatusCode} | {
    grpc.StatusCode.OK: "OK",
    grpc.StatusCode.CANCELLED: "Canceled",
}
"""gRPC's status codes as Go, and so ghz, spells them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call went: when it ended, how long it took in nanoseconds, its code and the error's text.

    `cut` says that we broke it off, as the scenario wants it.
    """

    ended: datetime
    nanoseconds: int
    code: grpc.StatusCode
    text: str = ""
    cut: bool = False

    @property
    def status(self) -> str:
        """The code as ghz spells it."""
        return SPELLED[self.code]

    @property
    def error(self) -> str:
        """The error as Go's gRPC puts it; empty for OK."""
        if self.code is grpc.StatusCode.OK:
            return ""
        return f"rpc error: code = {self.status} desc = {self.text}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls that took up to `mark` seconds, and longer than the bucket before."""

    mark: float
    count: int
    frequency: float


@dataclass(frozen=True, slots=True)
class Report:
    """A run of a scenario: `nanoseconds` from its beginning to the end of its last call."""

    scenario: Scenario
    began: datetime
    nanoseconds: int
    outcomes: Sequence[Outcome]

    @property
    def counted(self) -> Sequence[Outcome]:
        """The calls that count: all but the first `skipFirst`."""
        return self.outcomes[self.scenario.skip_first :]

    @property
    def latencies(self) -> list[int]:
        """The latencies that are told, sorted, in nanoseconds."""
        every = self.scenario.count_errors
        return sorted(each.nanoseconds for each in self.counted if every or not each.error)

    @property
    def statuses(self) -> Mapping[str, int]:
        """How many calls ended with each status."""
        return Counter(each.status for each in self.counted)

    @property
    def errors(self) -> Mapping[str, int]:
        """How many calls ended with each error."""
        return Counter(each.error for each in self.counted if each.error)

    @property
    def average(self) -> int:
        """The mean latency of all calls, in nanoseconds."""
        return sum(each.nanoseconds for each in self.counted) // max(len(self.counted), 1)

    @property
    def rps(self) -> float:
        """Calls a second."""
        return len(self.counted) * NANOSECONDS / self.nanoseconds if self.nanoseconds else 0.0

    @property
    def is_not_built(self) -> bool:
        """Whether the server does not have the method: every call was answered UNIMPLEMENTED."""
        return set(self.statuses) == {SPELLED[grpc.StatusCode.UNIMPLEMENTED]}

    @property
    def is_good(self) -> bool:
        """Whether every call ended as it was to: OK, or broken off by us where the scenario says so."""
        return bool(self.counted) and all(each.cut or not each.error for each in self.counted)


def percentiles(latencies: Sequence[int]) -> list[tuple[int, int]]:
    """Give the latency that each of ghz's percentages of calls did not exceed, by nearest rank; sorted input."""
    if not latencies:
        return []
    ranks = ((each, math.ceil(each * len(latencies) / 100)) for each in PERCENTAGES)
    return [(percentage, latencies[max(rank - 1, 0)]) for percentage, rank in ranks]


def histogram(latencies: Sequence[int]) -> list[Bucket]:
    """Spread sorted latencies over eleven buckets from the fastest to the slowest."""
    if not latencies:
        return []
    fastest, slowest = latencies[0], latencies[-1]
    marks = [fastest + (slowest - fastest) * step / BUCKETS for step in range(BUCKETS)] + [slowest]
    counts = [0] * len(marks)
    place = 0
    for latency in latencies:
        while latency > marks[place]:
            place += 1
        counts[place] += 1
    return [
        Bucket(mark / NANOSECONDS, count, count / len(latencies))
        for mark, count in zip(marks, counts, strict=True)
    ]


def document(report: Report) -> dict[str, Any]:
    """Make ghz's JSON report."""
    latencies = report.latencies
    tags = {"tags": dict(report.scenario.tags)} if report.scenario.tags else {}
    return {
        "date": report.began.isoformat(timespec="seconds"),
        "name": report.scenario.name,
        "endReason": "normal",
        "options": _options(report.scenario),
        "count": len(report.counted),
        "total": report.nanoseconds,
        "average": report.average,
        "fastest": latencies[0] if latencies else 0,
        "slowest": latencies[-1] if latencies else 0,
        "rps": report.rps,
        "errorDistribution": dict(report.errors),
        "statusCodeDistribution": dict(report.statuses),
        "latencyDistribution": [
            {"percentage": percentage, "latency": latency}
            for percentage, latency in percentiles(latencies)
        ]
        or None,
        "histogram": [
            {"mark": each.mark, "count": each.count, "frequency": each.frequency}
            for each in histogram(latencies)
        ]
        or None,
        "details": [_detail(each) for each in report.counted] or None,
        **tags,
    }


def summary(report: Report) -> str:
    """Make ghz's summary."""
    latencies = report.latencies
    name = f"  Name:\t\t{report.scenario.name}\n" if report.scenario.name else ""
    distribution = "".join(
        f"\n  {percentage} % in {_duration(latency)} "
        for percentage, latency in percentiles(latencies)
    )
    statuses = ((f"[{status}]", f"{n} responses") for status, n in sorted(report.statuses.items()))
    errors = ((f"[{n}]", error) for error, n in sorted(report.errors.items()))
    return (
        f"\nSummary:\n{name}"
        f"  Count:\t{len(report.counted)}\n"
        f"  Total:\t{_duration(report.nanoseconds)}\n"
        f"  Slowest:\t{_duration(latencies[-1] if latencies else 0)}\n"
        f"  Fastest:\t{_duration(latencies[0] if latencies else 0)}\n"
        f"  Average:\t{_duration(report.average)}\n"
        f"  Requests/sec:\t{report.rps:.2f}\n"
        f"\nResponse time histogram:\n{_bars(histogram(latencies))}"
        f"\nLatency distribution:{distribution}\n\n"
        f"{_columns('Status code distribution', statuses)}\n"
        f"{_columns('Error distribution', errors)}\n"
    )


def _summaries(reports: Sequence[Report]) -> str:
    return "".join(map(summary, reports))


def _documents(reports: Sequence[Report]) -> str:
    """One report is ghz's document; several are an array of them, which ghz does not have."""
    found = [document(each) for each in reports]
    return json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Report]], str]] = {
    "summary": _summaries,
    "json": _documents,
}


def _detail(outcome: Outcome) -> dict[str, Any]:
    return {
        "timestamp": outcome.ended.astimezone(UTC).isoformat(timespec="microseconds"),
        "latency": outcome.nanoseconds,
        "error": outcome.error,
        "status": outcome.status,
    }


def _options(scenario: Scenario) -> dict[str, Any]:
    """Say what was asked for. Metadata and data are as in the file, so that no token is told."""
    return {
        "call": scenario.call,
        "host": scenario.host,
        "protoset": scenario.protoset,
        "insecure": scenario.insecure,
        "rps": scenario.rps,
        "load-schedule": "const",
        "concurrency": scenario.concurrency,
        "concurrency-schedule": "const",
        "total": scenario.most_calls,
        "connections": scenario.connections,
        "duration": _nanoseconds(scenario.max_duration or scenario.duration),
        "timeout": _nanoseconds(scenario.timeout),
        "data": scenario.data,
        "binary": False,
        "metadata": dict(scenario.metadata),
        "CPUs": os.cpu_count() or 1,
        "name": scenario.name,
        "skipFirst": scenario.skip_first,
        "count-errors": scenario.count_errors,
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _duration(nanoseconds: int) -> str:
    if nanoseconds < 10_000:
        return f"{nanoseconds} ns"
    milliseconds = nanoseconds / 1_000_000
    return f"{milliseconds:.2f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def _bars(buckets: Sequence[Bucket]) -> str:
    """Draw a histogram: marks in milliseconds, the longest bar forty characters."""
    most = max((each.count for each in buckets), default=0)
    marks = [f"{each.mark * 1000:.3f}" for each in buckets]
    width, digits = max(map(len, marks), default=0), len(str(most))
    return "".join(
        f"  {mark:{width}} [{each.count}]{' ' * (digits - len(str(each.count)))} "
        f"|{BAR * ((each.count * LONGEST_BAR + most // 2) // most)}\n"
        for mark, each in zip(marks, buckets, strict=True)
    )


def _columns(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Set a distribution in two columns, three spaces after each; nothing where there are no rows."""
    found = list(rows)
    if not found:
        return ""
    first, second = (max(len(row[column]) for row in found) for column in (0, 1))
    lines = (f"  {left:{first}}   {right:{second}}   \n" for left, right in found)
    return f"{title}:\n{''.join(lines)}"


__all__ = [
    "FORMATS",
    "Bucket",
    "Outcome",
    "Report",
    "document",
    "histogram",
    "percentiles",
    "summary",
]
