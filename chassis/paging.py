"""Opaque page tokens: the sort key of the last row, so that pages stay stable while rows are added."""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import datetime
from uuid import UUID

from chassis.errors import InvalidArgument

DIGITS = re.compile("[0-9]{1,9}")
LIMIT = 512
"""Characters that a token may have."""


class PageTokenInvalid(InvalidArgument):
    """The page token was not made by this list. Take it from `next_page_token` unchanged, or begin without one."""

    reason = "PAGE_TOKEN_INVALID"
    message = "The page token is not one that this list gave out."


def encode(values: tuple[str, ...]) -> str:
    """Make a token of a row's sort key."""
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(token: str) -> tuple[str, ...]:
    """Read a token; an empty one gives `()`. Raises PageTokenInvalid."""
    if not token:
        return ()
    if len(token) > LIMIT:
        raise PageTokenInvalid
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, UnicodeDecodeError, ValueError, RecursionError):
        raise PageTokenInvalid from None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise PageTokenInvalid
    return tuple(values)


def moment_and_id(token: str) -> tuple[datetime, UUID] | None:
    """Read the token of a list that is sorted by a time, then an id; None for an empty one. Raises PageTokenInvalid."""
    if not (values := decode(token)):
        return None
    try:
        moment, identifier = values
        return datetime.fromisoformat(moment), UUID(identifier)
    except ValueError:
        raise PageTokenInvalid from None


def position(token: str) -> int | None:
    """Read the token of a list whose sort key is a number; None of an empty one. Raises PageTokenInvalid."""
    if not (values := decode(token)):
        return None
    if len(values) != 1 or not DIGITS.fullmatch(values[0]):
        raise PageTokenInvalid
    return int(values[0])


__all__ = ["LIMIT", "PageTokenInvalid", "decode", "encode", "moment_and_id", "position"]
