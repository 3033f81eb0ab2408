"""What was talked about, in order: where one topic ends and the next begins, and what each is called.

Topics part where the words before and after have least in common (TextTiling, Hearst 1997), and where somebody says so.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import diags

from services.ai.text.ranking import Floats, Terms
from services.ai.text.sentences import Sentence
from services.ai.text.summary import MAX_TOPICS
from services.ai.text.words import joined, ones_and_pairs

WINDOW = 8
"""How many sentences before and after a gap are compared."""
MIN_SENTENCES = 5
USUAL_SENTENCES = 14
"""There are at most as many topics as have so many sentences each, beside those that somebody announced."""
CUE_DEPTH = 1.0
"""What an announcement adds to a gap's depth, which is from 0 to 2."""
MAX_NAMES = 3
MAX_QUOTED = 3

_CUES = re.compile(
    r"\b(?:(?:the )?next (?:topic|item|point|thing|question|one) (?:is|on)|(?:first|second|third|last|final|next)(?:ly)? "
    r"(?:up|item|topic)|mov(?:e|ing) on(?: to)?|let's (?:move|turn|go|get) (?:on |over )?to (?:the |our )?\w+|"
    r"let's (?:talk|speak|chat) about|let's start with|turning to|on to the next|switching (?:gears|topics?)|"
    r"(?:the )?other thing is|item number \w+|any other business)\b"
    r"|下一个?(?:议题|话题|问题|事项|点|项)|接下来(?:我们)?(?:说|讲|聊|谈|看|讨论|过)|(?:然后|下面|再|先)(?:我们)?来?(?:说|讲|聊|谈|看|讨论)(?:一下|一说|说)?"
    r"|(?:第[一二三四五六七八九十]|最后一)(?:个|项|件)(?:议题|事|问题|话题)?|另外一个?(?:议题|事|问题)|换个?话题",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Topic:
    """Sentences `start` to `end` - 1, what they are about, and which of them tell most of it, the best first."""

    start: int
    end: int
    names: tuple[str, ...]
    best: tuple[int, ...]


def topics(sentences: Sequence[Sentence], terms: Terms) -> list[Topic]:
    """Find the topics."""
    edges = [0, *_boundaries(sentences, terms), len(sentences)]
    spans = list(itertools.pairwise(edges))
    counted = [_counted(terms.words[start:end]) for start, end in spans]
    return [
        Topic(start, end, tuple(_names(each, counted)), best)
        for (start, end), each in zip(spans, counted, strict=True)
        if (best := _best(terms, start, end))
    ]


def _boundaries(sentences: Sequence[Sentence], terms: Terms) -> list[int]:
    """Choose the gaps that are deepest, none near another or the ends; a gap's number is that of the sentence after."""
    announced = np.array([bool(_CUES.search(each.text)) for each in sentences])
    depths = _depths(terms) + CUE_DEPTH * announced
    some = depths[depths > 0]
    enough = float(some.mean() + some.std() / 2) if len(some) else 0.0
    room = max(1, len(sentences) // USUAL_SENTENCES) - 1
    chosen: list[int] = []
    for gap in np.argsort(-depths, kind="stable").tolist():
        edges = (0, len(sentences), *chosen)
        if len(chosen) == MAX_TOPICS - 1 or depths[gap] < enough or depths[gap] == 0:
            break
        if any(abs(gap - edge) < MIN_SENTENCES for edge in edges):
            continue
        if announced[gap] or len(chosen) < room:
            chosen.append(gap)
    return sorted(chosen)


def _depths(terms: Terms) -> Floats:
    """Say how much less the words around a gap have in common than around the gaps on both sides of it."""
    count = terms.rows.shape[0]
    if count <= WINDOW:
        return np.zeros(count)
    band = diags([np.ones(count)] * WINDOW, list(range(WINDOW)), shape=(count, count))
    blocks = (band @ terms.rows).tocsr()
    norms = np.sqrt(np.asarray(blocks.multiply(blocks).sum(axis=1)).ravel())
    common = np.ones(count)
    gaps = np.arange(WINDOW, count)
    dots = np.asarray(blocks[gaps - WINDOW].multiply(blocks[gaps]).sum(axis=1)).ravel()
    common[gaps] = dots / np.maximum(norms[gaps - WINDOW] * norms[gaps], 1e-9)
    common[:WINDOW] = common[WINDOW]
    depths: Floats = _peaks(common) + _peaks(common[::-1])[::-1] - 2 * common
    return depths


def _peaks(heights: Floats) -> Floats:
    """Climb from each place backwards as long as it goes up; says how high that is."""
    peaks = heights.copy()
    for at in range(1, len(peaks)):
        if heights[at - 1] >= heights[at]:
            peaks[at] = peaks[at - 1]
    return peaks


def _counted(words: Sequence[Sequence[Sequence[str]]]) -> Counter[tuple[str, ...]]:
    """Count the words and pairs of words of a topic, as they are written most often."""
    written: dict[tuple[str, ...], Counter[tuple[str, ...]]] = {}
    for runs in words:
        for found in ones_and_pairs(runs):
            written.setdefault(tuple(map(str.lower, found)), Counter())[found] += 1
    return Counter({each.most_common(1)[0][0]: each.total() for each in written.values()})


def _names(
    own: Counter[tuple[str, ...]], every: Sequence[Counter[tuple[str, ...]]]
) -> Iterator[str]:
    """Choose what a topic has much of and the others have not; pairs before their words."""
    used: set[str] = set()
    named = 0

    def worth(item: tuple[tuple[str, ...], int]) -> tuple[float, tuple[str, ...]]:
        phrase, count = item
        having = sum(phrase in each for each in every)
        pair = 1.6 if len(phrase) == 2 and count > 1 else 1.0 if len(phrase) == 1 else 0.5
        return -count * pair * math.log(1 + len(every) / having), phrase

    for phrase, _ in sorted(own.items(), key=worth):
        if used.isdisjoint(map(str.lower, phrase)):
            used.update(map(str.lower, phrase))
            yield joined(phrase)
            named += 1
            if named == MAX_NAMES:
                return


def _best(terms: Terms, start: int, end: int) -> tuple[int, ...]:
    typical = terms.typical(start, end)
    order = np.argsort(-typical, kind="stable")[:MAX_QUOTED]
    return tuple(start + int(at) for at in order if typical[at] > 0)


__all__ = ["Topic", "topics"]
