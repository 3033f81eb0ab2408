"""Requests that are repeated get the answer of the first time: how a servicer says so in one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from chassis.idempotency import Answers

A = TypeVar("A", bound=Message)


class Repeats:
    """The answers that were given, by `request_id`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def answer(self, request: Any, kind: type[A], work: Callable[[], Awaitable[A]]) -> A:
        """Answer as the first time, or do the work, in one transaction with its answer. Raises RequestIdReused."""
        method = type(request).__name__.removesuffix("Request")
        async with self._answers.once(method, request, kind) as turn:
            if turn.answer is None:
                turn.answer = await work()
        return turn.answer


__all__ = ["Repeats"]
