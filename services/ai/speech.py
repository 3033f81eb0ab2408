"""What is understood of a piece of sound: partial and final texts, with the guards against what Whisper makes up.

Silence, music and noise make Whisper say things that nobody said ("Thank you."), and now and then it repeats a phrase for
ever. A text is dropped when the model itself doubts it, and understood anew with the 30 seconds that Whisper was taught
with when it repeats itself.

What two partial texts in a row agree on is settled (LocalAgreement-2, Macháček et al. 2023), but for the last word, which
may not be whole: the next text begins with it, and the rest of the last one is the draft that is checked first.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from services.ai.vad import Samples
from services.ai.whisper.alignment import Word, timed
from services.ai.whisper.model import CAREFUL, QUICK, WHOLE, Decoded, Whisper
from services.ai.whisper.vocabulary import Vocabulary
from services.ai.whisper.writing import written

MAX_COMPRESSION = 2.4
"""A text's length over its length compressed; above it repeats itself (Radford et al. 2022, §4.5)."""
PHRASE = 7
"""Who says so many tokens twice within a sentence is listened to once more."""
UNSURE = -0.5
"""Mean log probability of a token: below it, it is worth the time to listen again with the whole window."""
NO_SPEECH = 0.6
DOUBT = -1.0
"""Mean log probability of a token: below it, a text of what may be no speech is dropped."""
NONSENSE = -1.6
"""Below it any text is."""
SURE_SECONDS = 1.5
"""Less sound tells neither the language nor the first words."""
OTHER_NAMES = {"fil": "tl", "jv": "jw", "nb": "no"}
"""Languages that Whisper names in its own way."""
HALF_A_CHARACTER = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Settings:
    """How speech is recognised. `language`: BCP 47 (`en`, `zh-TW`), empty to detect it; `terms`: to know."""

    language: str = ""
    terms: tuple[str, ...] = ()
    word_times: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a segment so far: tokens that are settled, all tokens of the last text, the language.

    `is_sure`: the last text was of so much sound that it counts, and the language too.
    """

    settled: tuple[int, ...] = ()
    draft: tuple[int, ...] = ()
    language: str = ""
    is_sure: bool = False


@dataclass(frozen=True, slots=True)
class Understood:
    """A text, of which `stable_length` characters will not change; `confidence` 0 to 1; words' times if asked for."""

    text: str
    stable_length: int
    language: str
    confidence: float
    memory: Memory = Memory()
    words: tuple[Word, ...] = ()


class Recogniser(Protocol):
    """Turns sound into text. Blocks; thread-safe."""

    def knows(self, language: str) -> bool:
        """Tell whether it knows a language, by its BCP 47 code."""
        ...

    def understand(
        self, samples: Samples, settings: Settings, memory: Memory, *, final: bool
    ) -> Understood:
        """Understand up to 30 seconds of 16 kHz sound that is a segment so far, or (`final`) all of it."""
        ...


class WhisperRecogniser:
    """Recognises with the model of a language, where one is its own, else with that of `any` language."""

    def __init__(self, any_language: Whisper, own: Mapping[str, Whisper] | None = None) -> None:
        self._any = any_language
        self._own = own or {}

    def knows(self, language: str) -> bool:
        """Tell whether it knows a language."""
        code = primary(language)
        return code in self._own or code in (self._any.vocabulary.languages or ("en",))

    def understand(
        self, samples: Samples, settings: Settings, memory: Memory, *, final: bool
    ) -> Understood:
        """Understand a segment so far, or all of it."""
        whisper = self._own.get(primary(settings.language), self._any)
        heard = whisper.hear(samples, CAREFUL if final else QUICK)
        language = settings.language or (memory.is_sure and memory.language)
        language = language or whisper.language(heard)
        prompt = whisper.vocabulary.prompt(primary(language), settings.terms)
        decoded = whisper.decode(heard, prompt, memory.settled, memory.draft[len(memory.settled) :])
        if final and (decoded.log_probability < UNSURE or _may_repeat(whisper.vocabulary, decoded)):
            heard = whisper.hear(samples, WHOLE)
            decoded = whisper.decode(heard, prompt, memory.settled)
        if _repeats(whisper.vocabulary, decoded) or _is_doubtful(decoded):
            decoded = replace(decoded, tokens=memory.settled)
        is_sure = heard.seconds >= SURE_SECONDS
        count = len(decoded.tokens) if final else _settled(whisper.vocabulary, memory, decoded)
        known = Memory(decoded.tokens[:count], decoded.tokens, language, is_sure)
        words: tuple[Word, ...] = ()
        if final and settings.word_times and decoded.tokens:
            words = timed(whisper, heard, prompt, decoded.tokens)
        return _understood(whisper.vocabulary, known, decoded.log_probability, words)


def primary(language: str) -> str:
    """Name a BCP 47 language as Whisper does."""
    code = language.partition("-")[0].lower()
    return OTHER_NAMES.get(code, code)


def _understood(
    vocabulary: Vocabulary, known: Memory, log_probability: float, words: tuple[Word, ...]
) -> Understood:
    rest = known.draft[len(known.settled) :]
    settled = written(vocabulary.decode(known.settled), known.language).lstrip()
    tail = written(vocabulary.decode(rest).rstrip(HALF_A_CHARACTER), known.language)
    text = (settled + tail).strip()
    confidence = min(1.0, math.exp(log_probability)) if text else 0.0
    stable = min(len(settled), len(text))
    return Understood(text, stable, known.language, confidence, known, words)


def _settled(vocabulary: Vocabulary, memory: Memory, decoded: Decoded) -> int:
    """Count the tokens that two texts agree on, up to the beginning of a word in both: the last may not be whole."""
    before, now = memory.draft, decoded.tokens
    known = min(len(memory.settled), len(now))
    if not memory.is_sure:
        return known
    pairs = enumerate(zip(before, now, strict=False))
    agreed = next((at for at, (old, new) in pairs if old != new), min(len(before), len(now)))
    common = [at for at in range(known, agreed + 1) if _is_boundary(vocabulary, before, at)]
    return max((at for at in common if _is_boundary(vocabulary, now, at)), default=known)


def _is_boundary(vocabulary: Vocabulary, tokens: Sequence[int], at: int) -> bool:
    return at < len(tokens) and vocabulary.starts_word(tokens[at])


def _may_repeat(vocabulary: Vocabulary, decoded: Decoded) -> bool:
    """Tell whether a phrase comes again, which people do say now and then."""
    phrases = Counter(zip(*(decoded.tokens[at:] for at in range(PHRASE)), strict=False))
    return any(count > 1 for count in phrases.values()) or _repeats(vocabulary, decoded)


def _repeats(vocabulary: Vocabulary, decoded: Decoded) -> bool:
    text = vocabulary.decode(decoded.tokens).encode()
    return decoded.is_looping or len(text) > MAX_COMPRESSION * len(zlib.compress(text))


def _is_doubtful(decoded: Decoded) -> bool:
    if decoded.no_speech > NO_SPEECH and decoded.log_probability < DOUBT:
        return True
    return decoded.log_probability < NONSENSE


__all__ = [
    "Memory",
    "Recogniser",
    "Settings",
    "Understood",
    "WhisperRecogniser",
    "Word",
]
