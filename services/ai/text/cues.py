"""What is asked of a language's cues: does somebody decide, promise, ask; who, and by when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do: by whom it `names`, as it was said; or the speaker, if it `is_own`; or whom it was asked of."""

    names: str = ""
    is_own: bool = False
    is_asked: bool = False


class Cues(Protocol):
    """A language's cues, for single sentences."""

    def __init__(self, names: Sequence[str]) -> None:
        """Know those who spoke."""

    def decides(self, text: str) -> bool:
        """Whether something is decided."""

    def points_back(self, text: str) -> bool:
        """Whether it means what was said before it."""

    def accepts(self, text: str) -> bool:
        """Whether it says yes."""

    def refuses(self, text: str) -> bool:
        """Whether it says no."""

    def due(self, text: str) -> str:
        """Find by when, as it was said; empty when it does not say."""

    def task(self, text: str) -> Task | None:
        """Find out whether a sentence gives somebody something to do."""


def one_of(texts: Iterable[str]) -> str:
    """Make a pattern of texts, longer ones first."""
    return "|".join(
        re.escape(each) for each in sorted(texts, key=lambda it: (-len(it), it)) if each
    )


__all__ = ["Cues", "Task", "one_of"]
