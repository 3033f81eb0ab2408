"""A summary of nothing but what was said: the sentences that tell most, as they stand. The same lines, the same summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from services.ai.text.findings import Finding, Findings
from services.ai.text.ranking import Terms
from services.ai.text.sentences import Sentence, sentences
from services.ai.text.summary import (
    MAX_ACTION_ITEMS,
    MAX_CITED,
    MAX_DECISIONS,
    Line,
    Point,
    Summary,
)
from services.ai.text.topics import Topic, topics

MODEL = "extractive@1"
MAX_QUOTES = 3
"""Sentences in the overview."""
MAX_SPEAKERS = 5


def summarise(lines: Sequence[Line], language: str = "") -> Summary:
    """Summarise lines. `language`, BCP 47, is that of the few words that are ours; empty: that of the lines."""
    found = sentences(lines)
    terms = Terms.of(found)
    parts = topics(found, terms) if terms else []
    words = _words(found, language)
    findings = Findings(found)

    def cited(numbers: Iterable[int]) -> tuple[str, ...]:
        indices = dict.fromkeys(line for at in sorted(numbers) for line in found[at].lines)
        return tuple(lines[index].id for index in list(indices)[:MAX_CITED])

    def points(of: Sequence[Finding], limit: int) -> tuple[Point, ...]:
        return tuple(
            Point(each.text, cited(each.sentences), each.assignee, each.due) for each in of[-limit:]
        )

    return Summary(
        overview=words.overview(found, terms, parts) if terms else "",
        topics=tuple(Point(words.topic(found, each), cited(each.best)) for each in parts),
        decisions=points(findings.decisions(), MAX_DECISIONS),
        action_items=points(findings.action_items(), MAX_ACTION_ITEMS),
        model=MODEL,
    )


class _English:
    """The words that are ours."""

    comma, colon = ", ", ": "

    def spoke(self, who: str, about: str) -> str:
        return f"{who or 'They'} spoke about {about}." if about else ""

    def said(self, who: str, text: str) -> str:
        return f"{who}: “{text}”" if who else f"“{text}”"

    def listed(self, texts: Sequence[str], more: int = 0) -> str:
        last = f"{more} more" if more else ""
        every = [*texts, last] if last else list(texts)
        return " and ".join(filter(None, (", ".join(every[:-1]), *every[-1:])))

    def together(self, texts: Iterable[str]) -> str:
        return " ".join(filter(None, texts))

    def overview(self, found: Sequence[Sentence], terms: Terms, parts: Sequence[Topic]) -> str:
        """Say who spoke about what, and quote what is central to the largest topics."""
        speakers = list(dict.fromkeys(each.speaker for each in found if each.speaker))
        who = self.listed(speakers[:MAX_SPEAKERS], max(0, len(speakers) - MAX_SPEAKERS))
        about = self.listed([each.names[0] for each in parts if each.names])
        quotes = (self.said(found[at].speaker, found[at].told) for at in _central(terms, parts))
        return self.together([self.spoke(who, about), *quotes])

    def topic(self, found: Sequence[Sentence], topic: Topic) -> str:
        """Name a topic, and quote the sentence that tells most of it."""
        return f"{self.comma.join(topic.names)}{self.colon}{found[topic.best[0]].told}"


class _Chinese(_English):
    comma, colon = "、", "："

    def spoke(self, who: str, about: str) -> str:
        return f"{who or '大家'}谈到了{about}。" if about else ""

    def said(self, who: str, text: str) -> str:
        return f"{who}：“{text}”" if who else f"“{text}”"

    def listed(self, texts: Sequence[str], more: int = 0) -> str:
        return "、".join(texts) + (f"等{len(texts) + more}人" if more else "")

    def together(self, texts: Iterable[str]) -> str:
        return "".join(texts)


def _words(found: Sequence[Sentence], language: str) -> _English:
    chinese = sum(each.is_chinese for each in found)
    base = language.lower().partition("-")[0] or ("zh" if 2 * chinese > len(found) else "en")
    return _Chinese() if base == "zh" else _English()


def _central(terms: Terms, parts: Sequence[Topic]) -> list[int]:
    """Choose the most central sentence of each of the largest topics."""
    centrality = terms.centrality()
    largest = sorted(parts, key=lambda each: (each.start - each.end, each.start))[:MAX_QUOTES]
    return sorted(
        each.start + int(np.argmax(centrality[each.start : each.end])) for each in largest
    )


__all__ = ["MODEL", "summarise"]
