"""What answers must look like: each function returns what a case goes on with, or raises the case's verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from loadtest.client.cases import Failed, NotBuilt

T = TypeVar("T")

EXCERPT = 160
"""Characters of an unexpected answer that a note shows."""


def check(holds: bool, otherwise: str) -> None:
    """Raise Failed with a text unless something holds."""
    if not holds:
        raise Failed(otherwise)


def answered(answer: httpx.Response, status: int = 200) -> httpx.Response:
    """Give an answer that has the right status. Raises Failed, or NotBuilt for 501."""
    if answer.status_code == httpx.codes.NOT_IMPLEMENTED:
        raise NotBuilt(_message(answer))
    if answer.status_code != status:
        where = answer.headers.get("location", "")
        to = f", to {where}" if where else ""
        raise Failed(f"HTTP {answer.status_code}{to}, not {status}: {_message(answer)}")
    return answer


def body(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """Read the JSON object of an answer that has the right status."""
    return json_object(answered(answer, status).text)


def json_object(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object. Raises Failed."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Failed(f"this is not a JSON object: {str(text)[:EXCERPT]!r}")
    return value


def refused(answer: httpx.Response, status: int, reason: str) -> str:
    """See that an answer is a refusal with a status and a reason (any when empty); returns its message."""
    refusal = body(answer, status)
    check(set(refusal) == {"code", "message", "details"}, f"not google.rpc.Status: {refusal}")
    found = reason_of(refusal)
    check(not reason or found == reason, f"reason {found or 'none'}, not {reason}")
    return f"{status} {found}".strip()


def reason_of(status: Mapping[str, Any]) -> str:
    """Read the reason of a google.rpc.Status in JSON; empty when it has none."""
    details = status.get("details")
    known = (
        [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    )
    return next((str(each["reason"]) for each in known if "reason" in each), "")


def read(value: object, path: str, kind: type[T]) -> T:
    """Read a field by its dotted path. Raises Failed when it is not there or of another kind."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise Failed(f"the answer has no {path}")
    return value


def text_of(value: object, path: str) -> str:
    """Read a text that is not empty. Raises Failed."""
    found = read(value, path, str)
    check(bool(found), f"{path} is empty")
    return found


def objects(value: object, path: str) -> list[dict[str, Any]]:
    """Read a list of objects. Raises Failed."""
    found = read(value, path, list)
    check(all(isinstance(each, dict) for each in found), f"{path} is not a list of objects")
    return found


def _message(answer: httpx.Response) -> str:
    """Say in a line what an answer says."""
    try:
        status = answer.json()
        return f"{status['message']} {reason_of(status)}".strip()
    except (ValueError, KeyError, TypeError):
        return answer.text[:EXCERPT]


__all__ = [
    "answered",
    "body",
    "check",
    "json_object",
    "objects",
    "read",
    "reason_of",
    "refused",
    "text_of",
]
