"""Every error of ours leaves as a Status with one reason, and the tree of them is sound."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from chassis import errors
from chassis.errors import DomainError, InvalidArgument, Unavailable, to_status
from stack.errorsdoc import load


@pytest.fixture(autouse=True, scope="module")
def whole_tree() -> None:
    load()


def leaves(kind: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for child in kind.__subclasses__():
        yield child
        yield from leaves(child)


def test_a_status_carries_reason_fields_and_delay() -> None:
    status = to_status(
        InvalidArgument(fields={"a.b[0]": "too long"}, retry_after=0.25, user="users/7")
    )
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail, into in zip(status.details, (info, bad, retry), strict=True):
        assert detail.Unpack(into)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "INVALID_ARGUMENT",
        "parley",
        {"user": "users/7"},
    )
    assert bad.field_violations[0].field == "a.b[0]"
    assert retry.retry_delay.ToMilliseconds() == 250


def test_unavailable_says_when_to_try_again_unless_told_otherwise() -> None:
    assert len(to_status(Unavailable()).details) == 2


def test_every_error_has_a_reason_a_message_and_a_meaning() -> None:
    for kind in leaves():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,62}", kind.reason), kind
        assert kind.message, kind
        assert kind.__doc__, kind


def test_a_reason_means_one_code_wherever_it_comes_from() -> None:
    codes: dict[str, set[str]] = {}
    for kind in leaves():
        codes.setdefault(kind.reason, set()).add(kind.code.name)
    assert {reason: found for reason, found in codes.items() if len(found) > 1} == {}


def test_the_tree_at_the_head_of_the_module_is_the_tree_of_the_code() -> None:
    drawn = re.findall(r"[├└]── (\w+) +([A-Z_]+)", errors.__doc__ or "")
    kinds = [kind for kind in DomainError.__subclasses__() if kind.__module__ == errors.__name__]
    assert drawn == [(kind.__name__, kind.code.name) for kind in kinds]
