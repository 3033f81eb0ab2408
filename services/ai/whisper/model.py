"""Whisper at work: sound to text, greedily, on two onnxruntime sessions that all threads share.

Time goes with the length of what the encoder sees, so that it sees the sound and a little silence after it, not the 30
seconds that Whisper was taught with. Alone, that makes the decoder loop now and then: it misses the long silence that
it knows. So SILENCE_SECONDS of encoded silence, computed once, are put behind what it looks at.

A draft (what was understood a second ago) is checked in one run instead of being decoded word by word, so that its words
cost next to nothing; the text is the same as without it, but for rounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.ai.sessions import PROCESSORS, session
from services.ai.whisper.spectrogram import BANDS, HOP, SAMPLE_RATE, Samples, log_mel
from services.ai.whisper.vocabulary import Vocabulary

Floats = NDArray[np.float32]
Past = Mapping[str, Floats]
"""Keys and values of the tokens so far, by `keys_{layer}` and `values_{layer}`."""

MAX_SECONDS = 30.0
POSITION_SECONDS = 0.02
SILENCE_SECONDS = 5.0
SILENCE_LEVEL = -0.5
"""What silence is in the spectrogram of something loud: the front end's floor is relative."""
TOKENS_PER_SECOND = 7.0
TOKENS_MORE = 12
"""No speech is denser: a longer text is a loop."""
TOKENS_PER_SECOND_LEAST = 1.0
LONG_SECONDS = 5.0
"""No speech so long, without a pause of half a second, is sparser."""
REPEATS = 3
"""So often in a row a phrase of LONGEST_PHRASE tokens or fewer is no loop yet."""
LONGEST_PHRASE = 8


@dataclass(frozen=True, slots=True)
class Window:
    """How much the encoder sees: the sound and `margin` seconds of silence, at least `least` seconds."""

    margin: float
    least: float


QUICK = Window(margin=1.0, least=6.0)
"""For texts that will be bettered."""
CAREFUL = Window(margin=3.0, least=10.0)
"""For final ones: a fifth fewer words wrong than in a quick one."""
WHOLE = Window(margin=0.0, least=MAX_SECONDS)
"""As Whisper was taught, at three to five times the cost."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the encoder made of a piece of sound: keys [heads, width, T] and values [heads, T, width] of each layer."""

    cross: Mapping[str, Floats]
    seconds: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text: its tokens, the mean log probability of each, and how likely it is that nobody speaks, 0 to 1."""

    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    is_looping: bool


class Whisper:
    """The model in `folder`, as `build` made it. Thread-safe."""

    def __init__(self, folder: Path, providers: Sequence[str] = PROCESSORS) -> None:
        self._encoder = session(folder / "encoder.onnx", providers)
        self._decoder = session(folder / "decoder.onnx", providers)
        settings = json.loads((folder / "config.json").read_text())
        self._outputs = [output.name for output in self._encoder.get_outputs()]
        self._names = [output.name for output in self._decoder.get_outputs()]
        size = self._decoder.get_outputs()[0].shape[1]
        past = (each for each in self._decoder.get_inputs() if each.name.startswith("past_"))
        self._empty = {
            each.name.removeprefix("past_"): np.zeros(
                [n if isinstance(n, int) else 0 for n in each.shape], np.float32
            )
            for each in past
        }
        self.vocabulary = Vocabulary(folder / "tokenizer.json", is_multilingual=size >= 51_865)
        self._suppressed = np.zeros(size, np.float32)
        self._suppressed[settings["suppress_ids"]] = -np.inf
        blank = settings["suppress_ids_begin"][0]
        self._suppressed_first = self._suppressed.copy()
        self._suppressed_first[blank] = -np.inf
        frames = round(MAX_SECONDS * SAMPLE_RATE) // HOP
        self._silence = self._encode(np.full((BANDS, frames), SILENCE_LEVEL, np.float32))

    def hear(self, samples: Samples, window: Window) -> Heard:
        """Encode up to MAX_SECONDS of sound."""
        seconds = len(samples) / SAMPLE_RATE
        seen = min(max(seconds + window.margin, window.least), MAX_SECONDS)
        frames = round(seen * SAMPLE_RATE) // (2 * HOP) * 2
        cross = self._encode(log_mel(samples[: frames * HOP], frames))
        first = cross["cross_keys_0"].shape[2]
        last = first + round(SILENCE_SECONDS / POSITION_SECONDS)
        joined = {
            name: _joined(name, part, first, last, self._silence[name])
            for name, part in cross.items()
        }
        return Heard(joined, seconds)

    def language(self, heard: Heard) -> str:
        """Tell which language is likeliest; a model of English alone hears English."""
        languages = self.vocabulary.languages
        if not languages:
            return "en"
        logits, _, _ = self._run([self.vocabulary.start], 0, heard, self._empty)
        return list(languages)[int(logits[0, list(languages.values())].argmax())]

    def decode(
        self,
        heard: Heard,
        prompt: Sequence[int],
        fixed: Sequence[int] = (),
        draft: Sequence[int] = (),
    ) -> Decoded:
        """Decode. The text begins with `fixed`; `draft` is what may follow it."""
        start = self.vocabulary.start_in(prompt)
        logits, past, _ = self._run([*prompt, *fixed, *draft], start, heard, self._empty)
        no_speech = float(_softmax(logits[0])[self.vocabulary.no_speech])
        text, scores = list(fixed), []
        rows = logits[len(prompt) - 1 - start :]
        scores += [_score(row, token) for row, token in zip(rows, fixed, strict=False)]
        limit = round(heard.seconds * TOKENS_PER_SECOND) + TOKENS_MORE
        rows, guesses = rows[len(fixed) :], list(draft)
        while True:
            token = self._choose(rows[0], len(text), heard.seconds)
            scores.append(_score(rows[0], token))
            if token == self.vocabulary.end or len(text) >= limit or _is_loop(text):
                break
            text.append(token)
            if guesses and guesses.pop(0) == token:
                rows = rows[1:]
                continue
            if guesses or len(rows) > 1:  # the draft went another way: forget what came of it
                past = _cut(past, len(prompt) + len(text) - 1)
                guesses = []
            rows, past, _ = self._run([token], 0, heard, past)
        is_looping = token != self.vocabulary.end
        return Decoded(tuple(text), float(np.mean(scores)), no_speech, is_looping)

    def attention(self, heard: Heard, prompt: Sequence[int], tokens: Sequence[int]) -> Floats:
        """Tell where in the sound the decoder looked for each token: [heads, tokens + 1, positions]."""
        _, _, weights = self._run([*prompt, *tokens], len(prompt), heard, self._empty)
        positions = round(heard.seconds / POSITION_SECONDS)
        return weights[:, len(prompt) - 1 :, :positions]

    def _choose(self, logits: Floats, count: int, seconds: float) -> int:
        """Choose what follows so many tokens. After a sentence the decoder likes to end, though more is said."""
        scores = logits + (self._suppressed if count else self._suppressed_first)
        if seconds >= LONG_SECONDS and 0 < count < seconds * TOKENS_PER_SECOND_LEAST:
            scores[self.vocabulary.end] = -np.inf
        return int(scores.argmax())

    def _encode(self, mel: Floats) -> dict[str, Floats]:
        made = self._encoder.run(self._outputs, {"mel": mel[None]})
        return dict(zip(self._outputs, made, strict=True))

    def _run(
        self, tokens: Sequence[int], skipped: int, heard: Heard, past: Past
    ) -> tuple[Floats, Past, Floats]:
        feed = {
            "tokens": np.array(tokens, np.int64),
            "skipped": np.array([skipped], np.int64),
            **heard.cross,
        }
        feed |= {f"past_{name}": values for name, values in past.items()}
        logits, attention, *grown = self._decoder.run(self._names, feed)
        return logits, dict(zip(self._names[2:], grown, strict=True)), attention


def _joined(name: str, part: Floats, first: int, last: int, silence: Floats) -> Floats:
    """Put encoded silence behind encoded sound."""
    if "keys" in name:
        return np.concatenate([part, silence[:, :, first:last]], axis=2)
    return np.concatenate([part, silence[:, first:last]], axis=1)


def _cut(past: Past, count: int) -> Past:
    """Forget all but the first `count` tokens."""
    return {
        name: values[:, :, :count] if "keys" in name else values[:, :count]
        for name, values in past.items()
    }


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max())
    scores: Floats = raised / raised.sum()
    return scores


def _score(logits: Floats, token: int) -> float:
    """The log probability of a token."""
    highest = logits.max()
    return float(logits[token] - highest - np.log(np.exp(logits - highest).sum()))


def _is_loop(tokens: Sequence[int]) -> bool:
    """Tell whether the text ends in a phrase that was said more than REPEATS times in a row."""
    for length in range(1, LONGEST_PHRASE + 1):
        phrase, times = tokens[-length:], REPEATS + (4 if length == 1 else 1)
        if (
            len(tokens) >= length * times
            and list(tokens[-length * times :]) == list(phrase) * times
        ):
            return True
    return False


__all__ = ["CAREFUL", "MAX_SECONDS", "QUICK", "WHOLE", "Decoded", "Heard", "Whisper", "Window"]
