"""Which sentences are central to what was said: LexRank (Erkan and Radev, 2004) over tf-idf.

Similarities are never laid out as a matrix: a step of the power iteration is two products with the terms of the
sentences, which are few, so that a day's talk takes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from services.ai.text.sentences import Sentence
from services.ai.text.words import ones_and_pairs, phrases

STEPS = 40
DAMPING = 0.85
ENOUGH_TERMS = 8
"""Sentences with fewer say little by themselves."""
QUESTIONS = 0.5
"""What a question counts for: the answer tells more."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Terms:
    """The words of sentences, and a row for each: tf-idf of length 1, or 0 where it says nothing. `fullness` is 0 to 1."""

    words: Sequence[Sequence[Sequence[str]]]
    rows: Any
    fullness: Floats

    @classmethod
    def of(cls, sentences: Sequence[Sentence]) -> Terms | None:
        """Read the sentences. Returns None when none of them says anything."""
        words = [list(phrases(each.text)) for each in sentences]
        if not any(words):
            return None
        found = [[" ".join(each).lower() for each in ones_and_pairs(runs)] for runs in words]
        vectorizer = TfidfVectorizer(analyzer=lambda each: each, sublinear_tf=True)
        rows = vectorizer.fit_transform(found)
        fullness = np.minimum(1.0, np.array([len({*each}) for each in found]) / ENOUGH_TERMS)
        questions = np.array([each.is_question for each in sentences])
        return cls(words, rows, fullness * np.where(questions, QUESTIONS, 1.0))

    def centrality(self) -> Floats:
        """Say how central each sentence is to all."""
        degrees = self._similar(np.ones(self.rows.shape[0]))
        share = np.divide(1.0, degrees, out=np.zeros_like(degrees), where=degrees > 0)
        weights = np.full(len(degrees), 1 / len(degrees))
        for _ in range(STEPS):
            weights = (1 - DAMPING) / len(degrees) + DAMPING * self._similar(weights * share)
        return weights * self.fullness

    def typical(self, start: int, end: int) -> Floats:
        """Say how near each of some sentences is to what they say together."""
        part = self.rows[start:end]
        middle = np.asarray(part.sum(axis=0)).ravel()
        typical: Floats = (part @ middle) * self.fullness[start:end]
        return typical

    def _similar(self, weights: Floats) -> Floats:
        similar: Floats = self.rows @ (self.rows.T @ weights)
        return similar


__all__ = ["Floats", "Terms"]
