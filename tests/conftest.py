"""Fixtures that several folders of tests share. What they start is real, and once per session."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from loadtest.media import continuity
from tests.reachable_stack import Reachable, reachable_stack
from tests.relay import coturn
from tests.running_stack import RunningStack, fresh_stack
from tests.servers import PostgresServer, postgres_running, valkey_running

DatabaseFactory = Callable[[str], str]

hypothesis.settings.register_profile("parley", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("parley")


def pytest_report_header() -> str:
    """Say whether there is a relay, since without one the tests of TURN go no further than its credentials."""
    return f"coturn: {coturn() or 'not installed: TURN is tested by its credentials alone'}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give the session's Postgres; tests want `database`, most of the time."""
    with postgres_running() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[DatabaseFactory]:
    """Give a function that makes a service's database for this test and returns its address: `database("user")`."""
    with ExitStack() as databases:

        def make(service: str) -> str:
            return databases.enter_context(postgres.migrated_database(service))

        yield make


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """Give the address of a database without tables."""
    with postgres.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """Give the address of the session's Valkey. Keys of other tests are in it."""
    with valkey_running() as url:
        yield url


def pytest_collection_finish() -> None:
    """Have garbage not be looked for in what stays to the end: that would hold up tests of media."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def patient_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have light clients ask for what is missing for long, so that a machine that stood still for a second loses nothing."""
    monkeypatch.setattr(continuity, "LOST_SECONDS", 30.0)
    monkeypatch.setattr(continuity, "MAX_TRIES", 300)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Give a whole stack, the same for the session."""
    with fresh_stack() as running:
        yield running


@pytest.fixture(scope="session")
def reachable() -> Iterator[Reachable]:
    """Give a stack that is set up for everybody to get through, the same for the session."""
    with reachable_stack() as it:
        yield it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed the ends of its stack's logs, as they were then."""
    report = yield
    for fixture in getattr(item, "funcargs", {}).values() if report.failed else ():
        stack = fixture.stack if isinstance(fixture, Reachable) else fixture
        if isinstance(stack, RunningStack):
            report.sections.append(("the stack's logs", stack.log_tails()))
    return report
