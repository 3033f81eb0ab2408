"""docs/errors.md: every reason code that a caller can meet, made from the tree under chassis.errors.DomainError.

A leaf is a class with a reason of its own; its docstring says when it happens and what to do about it. Which services
have it is where it is declared: the chassis' are everyone's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass

from google.rpc import code_pb2

import chassis
import services
from chassis.errors import DomainError
from stack.nginx import REFUSALS
from stack.openapi import HTTP_STATUSES

_HEAD = """# Errors

Made from the code by `./parley gen`; don't edit.

Every error is a `google.rpc.Status`, the same over gRPC, gRPC-Web and REST: a canonical `code`, a `message` for people,
and in `details` one `google.rpc.ErrorInfo` with `domain: "parley"` and a `reason`. Programs rely on the reason.
`google.rpc.BadRequest` names the fields that are wrong; `google.rpc.RetryInfo` says how long to wait.

| code | REST | reason | from | when, and what to do |
|---|---|---|---|---|
"""

EVERYWHERE = "every service"
"""Where the chassis' reasons are from."""
GATEWAY = "the gateway"

_INTERNAL_STATUSES = {"INTERNAL": 500, "DEADLINE_EXCEEDED": 504}
_STATUSES = HTTP_STATUSES | _INTERNAL_STATUSES
_RELAYED = "RELAYED"
"""Stands for the reason that a peer gave; never met itself."""


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """A row: how a reason is met."""

    status: int
    code: str
    reason: str
    origin: str
    meaning: str


def text() -> str:
    """Write the page."""
    rows = (
        f"| {it.code} | {it.status} | `{it.reason}` | {it.origin} | {it.meaning} |"
        for it in reasons()
    )
    return _HEAD + "\n".join(rows) + "\n"


def reasons() -> list[Reason]:
    """List every reason, by status and code."""
    load()
    ours = {_reason(error) for error in _errors() if error.reason != _RELAYED}
    known = {reason.reason for reason in ours}
    return sorted({*ours, *(reason for reason in _gateways() if reason.reason not in known)})


def load() -> None:
    """Import whatever may declare errors: the chassis, and all of the services but what runs when imported."""
    for module in pkgutil.iter_modules(chassis.__path__):
        if not module.ispkg:
            importlib.import_module(f"chassis.{module.name}")
    for found in pkgutil.walk_packages(services.__path__, "services."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)


def _gateways() -> Iterator[Reason]:
    """List what Nginx refuses by itself."""
    for refusal in REFUSALS:
        code = code_pb2.Code.Name(refusal.code)
        yield Reason(refusal.status, code, refusal.reason, GATEWAY, refusal.message)


def _errors() -> Iterator[type[DomainError]]:
    waiting = [DomainError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        ours = error.__module__.startswith(("chassis.", "services."))
        if ours and "reason" in vars(error) and error.reason:
            yield error


def _reason(error: type[DomainError]) -> Reason:
    code = error.code.name
    where, _, rest = error.__module__.partition(".")
    origin = EVERYWHERE if where == "chassis" else rest.partition(".")[0]
    meaning = " ".join((error.__doc__ or "").split()).replace("|", "\\|")
    return Reason(_STATUSES[code], code, error.reason, origin, meaning)


__all__ = ["EVERYWHERE", "GATEWAY", "Reason", "load", "reasons", "text"]
