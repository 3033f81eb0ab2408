"""Sentences out of lines. A recogniser ends a line where somebody draws breath, so that a sentence may span several.

Lines without punctuation, as small models write Chinese, are sentences each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.ai.text.summary import Line

MAX_CHARACTERS = 400
"""A sentence that has not ended by then ends with its line."""
MAX_TOLD = 300

HAN = re.compile(r"[\u3400-\u9fff]")

_ENDS = re.compile(r"[.!?…。！？；][\"'”’」』)）]*$")
_BREAKS = re.compile(
    r"(?<=[.!?…])(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bMrs\.)(?<!\bProf\.)\s+|(?<=[。！？；])(?![”’」』）])"
)
_LEADS = re.compile(
    r"^(?:(?:okay|ok|so|well|yeah|yes|um+|uh+|erm|right|alright|all right|great|and|but|now|then|cool|sure|hm+|oh"
    r"|you know|i mean)\b[,.!…]*\s+|(?:嗯+|呃+|啊|哦|那个|然后|所以)[，,。、\s]*|(?:好的?|那|对|行|是的?|就是)[，,。、]\s*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and the numbers of the lines that it is in."""

    text: str
    speaker: str
    lines: tuple[int, ...]

    @property
    def is_question(self) -> bool:
        """Whether it asks something."""
        return self.text.rstrip("\"'”’」』").endswith(("?", "？", "吗", "吗。"))

    @property
    def is_chinese(self) -> bool:
        """Whether it is in Chinese, for the most part."""
        return 3 * len(HAN.findall(self.text)) > len(self.text)

    @property
    def told(self) -> str:
        """Its text, at most MAX_TOLD characters, without what people say before they say something."""
        bare = _LEADS.sub("", self.text) or self.text
        whole = bare[0].upper() + bare[1:]
        return whole if len(whole) <= MAX_TOLD else f"{whole[: MAX_TOLD - 1].rstrip()}…"


def sentences(lines: Sequence[Line]) -> list[Sentence]:
    """Cut lines into sentences."""
    texts = [" ".join(line.text.split()) for line in lines]
    ended = sum(bool(_ENDS.search(text)) for text in texts)
    joins = 2 * ended >= sum(map(bool, texts))
    found = _Joined()
    for number, (line, text) in enumerate(zip(lines, texts, strict=True)):
        if found.speaker != line.speaker or not joins:
            found.end()
        for part in _parts(text):
            found.take(part, line.speaker, number)
    found.end()
    return found.sentences


def _parts(text: str) -> Iterator[str]:
    for part in _BREAKS.split(text):
        for at in range(0, len(part), MAX_CHARACTERS):
            yield part[at : at + MAX_CHARACTERS]


class _Joined:
    """Parts of sentences, put together."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self.speaker = ""
        self._text = ""
        self._lines: list[int] = []

    def take(self, part: str, speaker: str, number: int) -> None:
        if len(self._text) + len(part) > MAX_CHARACTERS:
            self.end()
        self.speaker = speaker
        gap = "" if not self._text or HAN.match(part) else " "
        self._text += gap + part
        if number not in self._lines:
            self._lines.append(number)
        if _ENDS.search(part):
            self.end()

    def end(self) -> None:
        if self._text:
            self.sentences.append(Sentence(self._text, self.speaker, tuple(self._lines)))
        self._text, self._lines = "", []


__all__ = ["HAN", "Sentence", "sentences"]
