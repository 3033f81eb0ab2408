"""HTTP headers that a servicer says of the answer of a read; they leave with it, beside the ETag that the chassis makes."""

from __future__ import annotations

from contextvars import ContextVar

Header = tuple[str, str]

_said: ContextVar[tuple[Header, ...]] = ContextVar("headers", default=())


def say(*headers: Header) -> None:
    """Say headers, in lower case, of the answer to the call that is being served."""
    _said.set((*_said.get(), *headers))


def said() -> tuple[Header, ...]:
    """Get the headers that were said of it."""
    return _said.get()


__all__ = ["Header", "said", "say"]
