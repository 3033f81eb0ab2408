"""Whisper's tokens: text as byte pairs, and the marks that steer the decoder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")


class Vocabulary:
    """The tokens of the model whose `tokenizer.json` is at `path`. English alone has no marks of language that count."""

    def __init__(self, path: Path, *, is_multilingual: bool) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        tokens = self._tokenizer.get_vocab(with_added_tokens=True)
        self.end = tokens["<|endoftext|>"]
        self.no_speech = tokens.get("<|nospeech|>", tokens.get("<|nocaptions|>", self.end))
        self.languages: dict[str, int] = {}
        if is_multilingual:
            matches = ((_LANGUAGE.fullmatch(text), token) for text, token in tokens.items())
            self.languages = {match[1]: token for match, token in matches if match}
        self._start = tokens["<|startoftranscript|>"]
        self._transcribe = tokens["<|transcribe|>"]
        self._no_times = tokens["<|notimestamps|>"]
        self._before = tokens["<|startofprev|>"]

    def prompt(self, language: str, terms: Sequence[str] = ()) -> list[int]:
        """Say what the decoder begins with. `terms` are shown to it as if they had just been said."""
        said = [self._before, *self.encode(" " + ", ".join(terms))] if terms else []
        marks = [self._start]
        if self.languages:
            marks += [self.languages[language], self._transcribe]
        return [*said, *marks, self._no_times]

    def start_in(self, prompt: Sequence[int]) -> int:
        """Tell where in a prompt the transcript starts."""
        return prompt.index(self._start)

    @property
    def start(self) -> int:
        """The mark after which the language is told."""
        return self._start

    def starts_word(self, token: int) -> bool:
        """Tell whether a token begins a word: after a space, or as a letter of a script without them."""
        first = self.decode([token])[:1]
        return first == " " or unicodedata.category(first or " ") == "Lo"

    def encode(self, text: str) -> list[int]:
        """Turn text into tokens."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Turn tokens into text; half a character becomes U+FFFD."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


__all__ = ["Vocabulary"]
