"""Decisions and action items, found by how they are put."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.ai.text.chinese import Chinese
from services.ai.text.cues import Cues, Task
from services.ai.text.english import English
from services.ai.text.sentences import Sentence

ANSWER_SENTENCES = 2
"""Who was asked answers within so many sentences."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in sentences, given by their numbers."""

    text: str
    sentences: tuple[int, ...]
    assignee: str = ""
    due: str = ""


class Findings:
    """What was decided and promised in sentences."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        names = sorted({each.speaker for each in sentences if each.speaker})
        english, chinese = English(names), Chinese(names)
        self._sentences = sentences
        self._cues: Sequence[Cues] = [chinese if each.is_chinese else english for each in sentences]

    def decisions(self) -> list[Finding]:
        """Find what was decided, in order; what only confirms the decision before it is part of that."""
        found: list[Finding] = []
        for at, (sentence, cues) in enumerate(zip(self._sentences, self._cues, strict=True)):
            if sentence.is_question or not cues.decides(sentence.text):
                continue
            each = Finding(*self._whole(at))
            if found and found[-1].sentences[-1] == each.sentences[0] != at:
                found[-1] = replace(found[-1], sentences=(*found[-1].sentences, at))
            else:
                found.append(each)
        return _once(found)

    def action_items(self) -> list[Finding]:
        """Find what is to be done, in order."""
        found, answers = [], set[int]()
        for at, (sentence, cues) in enumerate(zip(self._sentences, self._cues, strict=True)):
            task = None if at in answers else cues.task(sentence.told)
            if task is None:
                continue
            if task.is_own:
                text, sentences = self._whole(at)
                found.append(Finding(text, sentences, sentence.speaker, cues.due(sentence.text)))
            elif (item := self._given(at, task)) is not None:
                found.append(item)
                answers.update(item.sentences[1:])
        return _once(found)

    def _given(self, at: int, task: Task) -> Finding | None:
        """Make an item of what is given to somebody else; None if they say no."""
        sentence, cues = self._sentences[at], self._cues[at]
        item = Finding(sentence.told, (at,), task.names, cues.due(sentence.text))
        if not task.is_asked:
            return item
        for later in range(at + 1, min(at + 1 + ANSWER_SENTENCES, len(self._sentences))):
            answer = self._sentences[later]
            if answer.speaker == sentence.speaker:
                continue
            if self._cues[later].refuses(answer.text):
                return None
            if self._cues[later].accepts(answer.text):
                due = item.due or self._cues[later].due(answer.text)
                who = task.names or answer.speaker
                return replace(item, sentences=(at, later), assignee=who, due=due)
        return item

    def _whole(self, at: int) -> tuple[str, tuple[int, ...]]:
        """Get a sentence; with the one before, where it only points back."""
        sentence = self._sentences[at]
        before = self._sentences[at - 1] if at else None
        if before is None or not self._cues[at].points_back(sentence.text):
            return sentence.told, (at,)
        gap = "" if sentence.is_chinese and before.is_chinese else " "
        return f"{before.told}{gap}{sentence.told}", (at - 1, at)


def _once(found: Iterable[Finding]) -> list[Finding]:
    """Join what was said again in the same words to where it was said first."""
    first: dict[str, Finding] = {}
    again: dict[str, list[int]] = {}
    for each in found:
        key = "".join(filter(str.isalnum, each.text.lower()))
        first.setdefault(key, each)
        again.setdefault(key, []).extend(each.sentences)
    return [
        replace(each, sentences=tuple(dict.fromkeys(again[key]))) for key, each in first.items()
    ]


__all__ = ["Finding", "Findings"]
