"""Who calls REST in the system's tests: Ann and Bob, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.rest import Person, client, sign_up
from tests.running_stack import RunningStack


@pytest.fixture
def http(stack: RunningStack) -> Iterator[httpx.Client]:
    """A client of the stack's REST."""
    with client(stack) as it:
        yield it


@pytest.fixture
def ann(http: httpx.Client) -> Person:
    """Somebody who has signed up."""
    return sign_up(http, "ann")


@pytest.fixture
def bob(http: httpx.Client) -> Person:
    """Somebody else."""
    return sign_up(http, "bob")
