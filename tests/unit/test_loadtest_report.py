"""Reports in ghz's forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from loadtest.ghz_report import (
    FORMATS,
    SPELLED,
    Outcome,
    Report,
    document,
    histogram,
    percentiles,
    summary,
)
from loadtest.scenario import Scenario

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
OK, LATE = grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
MILLISECOND = 1_000_000


def scenario(name: str = "Login", skip_first: int = 0, *, count_errors: bool = False) -> Scenario:
    return Scenario(
        Path("login.json"),
        call="a.B.Login",
        host="127.0.0.1:8000",
        name=name,
        skip_first=skip_first,
        count_errors=count_errors,
        timeout=1.5,
        metadata={"authorization": "Bearer {{env `LOAD_TOKEN`}}"},
        tags={"access": "user"},
    )


def report(*calls: tuple[grpc.StatusCode, int], of: Scenario | None = None) -> Report:
    """Make a report of two seconds, of calls by their code and milliseconds."""
    outcomes = [
        Outcome(NOON, ms * MILLISECOND, code, "" if code is OK else "so it is")
        for code, ms in calls
    ]
    return Report(of or scenario(), NOON, 2_000 * MILLISECOND, outcomes)


def test_the_document_has_ghz_s_keys_and_units() -> None:
    found = document(report((OK, 10), (OK, 30), (LATE, 80)))
    assert found["date"] == "2026-11-24T12:00:00+00:00"
    assert (found["name"], found["endReason"], found["tags"]) == (
        "Login",
        "normal",
        {"access": "user"},
    )
    assert (found["count"], found["total"], found["rps"]) == (3, 2_000 * MILLISECOND, 1.5)
    assert found["average"] == 40 * MILLISECOND
    assert (found["fastest"], found["slowest"]) == (10 * MILLISECOND, 30 * MILLISECOND)
    assert found["statusCodeDistribution"] == {"OK": 2, "DeadlineExceeded": 1}
    error = "rpc error: code = DeadlineExceeded desc = so it is"
    assert found["errorDistribution"] == {error: 1}
    assert found["latencyDistribution"][0] == {"percentage": 10, "latency": 10 * MILLISECOND}
    assert found["latencyDistribution"][-1] == {"percentage": 99, "latency": 30 * MILLISECOND}
    assert found["histogram"][0] == {"mark": 0.01, "count": 1, "frequency": 0.5}
    assert found["details"][2] == {
        "timestamp": "2026-11-24T12:00:00.000000+00:00",
        "latency": 80 * MILLISECOND,
        "error": error,
        "status": "DeadlineExceeded",
    }
    assert found["options"]["timeout"] == 1_500 * MILLISECOND
    assert found["options"]["metadata"] == {"authorization": "Bearer {{env `LOAD_TOKEN`}}"}


def test_errors_count_as_latencies_where_that_is_wanted() -> None:
    found = document(report((OK, 10), (LATE, 80), of=scenario(count_errors=True)))
    assert found["slowest"] == 80 * MILLISECOND


def test_the_first_calls_can_be_left_out() -> None:
    found = document(report((OK, 90), (OK, 10), of=scenario(skip_first=1)))
    assert (found["count"], found["slowest"]) == (1, 10 * MILLISECOND)


def test_without_a_good_call_there_are_no_latencies() -> None:
    found = document(report((UNIMPLEMENTED, 3)))
    assert (found["latencyDistribution"], found["histogram"]) == (None, None)
    assert (found["fastest"], found["slowest"], found["average"]) == (0, 0, 3 * MILLISECOND)
    assert json.loads(json.dumps(document(report()))) == document(report())


def test_percentiles_are_by_nearest_rank() -> None:
    found = percentiles(list(range(1, 101)))
    assert found == [(each, each) for each in (10, 25, 50, 75, 90, 95, 99)]
    assert percentiles([5]) == [(each, 5) for each in (10, 25, 50, 75, 90, 95, 99)]
    assert percentiles([]) == []


@pytest.mark.parametrize("latencies", [[7], [7, 7, 7], [1, 2, 3, 1000], list(range(100, 1100, 3))])
def test_a_histogram_has_every_call_once(latencies: list[int]) -> None:
    buckets = histogram(latencies)
    assert len(buckets) == 11
    assert sum(each.count for each in buckets) == len(latencies)
    assert sum(each.frequency for each in buckets) == pytest.approx(1)
    assert buckets[0].mark == pytest.approx(latencies[0] / 1e9)
    assert buckets[-1].mark == pytest.approx(latencies[-1] / 1e9)


def test_the_summary_is_laid_out_as_ghz_s() -> None:
    calls = [(OK, 10)] * 4 + [(OK, 110), (LATE, 400)]
    expected = (
        "\nSummary:\n  Name:\t\tLogin\n  Count:\t6\n  Total:\t2.00 s\n  Slowest:\t110.00 ms\n"
        "  Fastest:\t10.00 ms\n  Average:\t91.67 ms\n  Requests/sec:\t3.00\n"
        "\nResponse time histogram:\n"
        f"  10.000  [4] |{'∎' * 40}\n"
        + "".join(
            f"  {mark}.000{' ' * (3 - len(str(mark)))} [0] |\n" for mark in range(20, 110, 10)
        )
        + f"  110.000 [1] |{'∎' * 10}\n"
        "\nLatency distribution:\n"
        "  10 % in 10.00 ms \n  25 % in 10.00 ms \n  50 % in 10.00 ms \n  75 % in 10.00 ms \n"
        "  90 % in 110.00 ms \n  95 % in 110.00 ms \n  99 % in 110.00 ms \n"
        "\nStatus code distribution:\n"
        "  [DeadlineExceeded]   1 responses   \n  [OK]                 5 responses   \n"
        "\nError distribution:\n"
        "  [1]   rpc error: code = DeadlineExceeded desc = so it is   \n\n"
    )
    assert summary(report(*calls)) == expected


def test_a_summary_of_nothing_can_be_made() -> None:
    assert "Count:\t0" in summary(report(of=scenario(name="")))
    assert "Name:" not in summary(report(of=scenario(name="")))


def test_one_report_is_ghz_s_document_and_several_are_an_array() -> None:
    one = report((OK, 1))
    assert json.loads(FORMATS["json"]([one])) == document(one)
    assert json.loads(FORMATS["json"]([one, one])) == [document(one)] * 2


def test_codes_are_spelled_as_go_does() -> None:
    assert SPELLED[OK] == "OK"
    assert SPELLED[grpc.StatusCode.CANCELLED] == "Canceled"
    assert SPELLED[grpc.StatusCode.RESOURCE_EXHAUSTED] == "ResourceExhausted"
    assert len(set(SPELLED.values())) == 17


def test_what_is_good() -> None:
    assert report((OK, 1), (OK, 1)).is_good
    assert not report((OK, 1), (LATE, 1)).is_good
    assert not report((OK, 1), (UNIMPLEMENTED, 1)).is_good
    assert not report().is_good
    cut = Outcome(NOON, 1, grpc.StatusCode.CANCELLED, "context canceled", cut=True)
    assert Report(scenario(), NOON, 1, [cut]).is_good
    assert report((UNIMPLEMENTED, 1), (UNIMPLEMENTED, 1)).is_not_built
    assert not report((OK, 1), (UNIMPLEMENTED, 1)).is_not_built
