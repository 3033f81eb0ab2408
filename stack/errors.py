"""What goes wrong with a stack, in one line that says what to do."""

from __future__ import annotations


class StackError(Exception):
    """The text is one line for a person: what is wrong, and what to do about it."""


__all__ = ["StackError"]
