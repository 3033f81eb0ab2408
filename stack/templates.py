"""Templates for other programs' configuration: `{{name}}` stands for a value, and every one must be given."""

from __future__ import annotations

import re
from collections.abc import Mapping


def render(text: str, values: Mapping[str, object]) -> str:
    """Put the values in. A value of several lines keeps the indentation of its place. Raises KeyError."""

    def put(match: re.Match[str]) -> str:
        indent, name = match.group(1), match.group(2)
        return indent + str(values[name]).replace("\n", "\n" + " " * len(indent))

    return re.sub(r"((?:(?<=\n)|^)[ ]+|)\{\{(\w+)\}\}", put, text)


__all__ = ["render"]
