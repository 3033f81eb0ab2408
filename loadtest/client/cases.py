"""The table of cases: small functions that try one thing each, and what can come of one.

A case that returns has passed, and returns its note. Every other end is an exception of the tree below.

    Verdict
    ├── Failed    the answer is not what the contract says
    ├── NotBuilt  the server says that it does not have the method (501, UNIMPLEMENTED)
    └── Skipped   there is nothing to try here, such as limits that are off
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadtest.client.areas import AREAS
from loadtest.client.visit import Visit

Function = Callable[[Visit], Awaitable[str]]


class Outcome(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_BUILT = "not built"
    NOT_RUN = "not run"
    SKIPPED = "skipped"


class Verdict(Exception):
    """A case ends otherwise than well; the text is its note."""

    outcome: Outcome


class Failed(Verdict):
    """The answer is not what the contract says."""

    outcome = Outcome.FAILED


class NotBuilt(Verdict):
    """The server says that it does not have the method."""

    outcome = Outcome.NOT_BUILT


class Skipped(Verdict):
    """There is nothing to try here."""

    outcome = Outcome.SKIPPED


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to try; `needs` are the cases without which it means nothing."""

    area: str
    title: str
    function: Function
    needs: tuple[Case, ...] = ()

    @property
    def label(self) -> str:
        """Name it in other cases' notes."""
        return f"{self.area}: {self.title}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case, after how many milliseconds (0 when it was not run)."""

    case: Case
    outcome: Outcome
    milliseconds: float = 0.0
    note: str = ""


_table: list[Case] = []


def case(area: str, title: str, needs: tuple[Case, ...] = ()) -> Callable[[Function], Case]:
    """Put a function into the table."""

    def register(function: Function) -> Case:
        made = Case(area, title, function, needs)
        _table.append(made)
        return made

    return register


def selected(areas: Iterable[str]) -> list[Case]:
    """List the cases of some areas, and those that they need, in the order in which they run."""
    chosen = set(areas)
    wanted = {need for each in _table if each.area in chosen for need in _with_needs(each)}
    order = list(AREAS)
    return sorted((each for each in _table if each in wanted), key=lambda it: order.index(it.area))


def _with_needs(wanted: Case) -> Iterator[Case]:
    yield wanted
    for need in wanted.needs:
        yield from _with_needs(need)


__all__ = [
    "Case",
    "Failed",
    "NotBuilt",
    "Outcome",
    "Result",
    "Skipped",
    "Verdict",
    "case",
    "selected",
]
