"""What counts as the same words: text made plain before it is compared, and the rates of errors.

English goes through Whisper's own normaliser (case, punctuation, numbers, spellings, contractions), which is what
published word error rates use; Chinese is made simplified and compared by characters.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import jiwer
from opencc import OpenCC
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

CHINESE = "zh"
"""Texts of this language have no spaces between words: their characters are counted."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How texts differ from what was said, in words (Chinese: characters)."""

    substituted: int = 0
    left_out: int = 0
    added: int = 0
    said: int = 0

    @property
    def rate(self) -> float:
        """Errors per word that was said; above 1 where more was made up than said."""
        return (self.substituted + self.left_out + self.added) / self.said if self.said else 0.0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substituted + other.substituted,
            self.left_out + other.left_out,
            self.added + other.added,
            self.said + other.said,
        )


def plain(text: str, language: str) -> str:
    """Make a text comparable; Chinese comes back with a space between all characters."""
    if language == CHINESE:
        simplified = _simplifier().convert(unicodedata.normalize("NFKC", text)).lower()
        return " ".join(letter for letter in simplified if letter.isalnum())
    normalise = _english() if language == "en" else _any()
    # Whisper's normaliser leaves the dots of "..." as a word.
    return " ".join(word for word in normalise(text).split() if any(map(str.isalnum, word)))


def errors(said: str, written: str, language: str) -> Errors:
    """Count the fewest changes that make what was said into what was written."""
    said, written = plain(said, language), plain(written, language)
    if not said:
        return Errors(added=len(written.split()))
    found = jiwer.process_words(said, written)
    return Errors(found.substitutions, found.deletions, found.insertions, len(said.split()))


def total(counted: Iterable[Errors]) -> Errors:
    """Add up errors: long texts weigh more than short ones."""
    return sum(counted, Errors())


@functools.cache
def _english() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


@functools.cache
def _any() -> BasicTextNormalizer:
    return BasicTextNormalizer()


@functools.cache
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


__all__ = ["CHINESE", "Errors", "errors", "plain", "total"]
