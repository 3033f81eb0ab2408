"""Lists, page after page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

_Request = TypeVar("_Request", bound=Message)


async def pages(
    method: Callable[[_Request], Awaitable[Message]], request: _Request
) -> AsyncIterator[Any]:
    """Give all the items of a list method, from the request's page on, getting the next page when it is wanted.

    Raises ParleyError, and TypeError for a method that has no pages.
    """
    asked = type(request)()
    asked.CopyFrom(request)
    while True:
        answer = await method(asked)
        for item in getattr(answer, _items(answer)):
            yield item
        following = str(getattr(answer, "next_page_token", ""))
        if not following or following == getattr(asked, "page_token", ""):
            return
        asked.page_token = following  # type: ignore[attr-defined]


def _items(answer: Message) -> str:
    """Name the field with the items: the first repeated one (AIP-158)."""
    for field in answer.DESCRIPTOR.fields:
        if field.is_repeated:
            return str(field.name)
    raise TypeError(f"{answer.DESCRIPTOR.full_name} is no page of a list.")


__all__ = ["pages"]
