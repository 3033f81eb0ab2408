"""The corpus: what was spoken, by whom, and from where; noise and music to speak over.

All samples are 16-bit, 16 kHz, mono. The English prompts are read by one professional speaker in a studio, the books
by two people at home: neither is a meeting, and what is measured on them is no promise for one.
"""

from __future__ import annotations

import functools
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from loadtest.corpus.packages import Package, contents

SAMPLE_RATE = 16_000
Samples = NDArray[np.int16]

PROMPTS = Package(
    "asterisk-core-sounds-en-g722",
    "1.6.1-1",
    "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
)
PROMPTS_TEXT = Package(
    "asterisk-core-sounds-en",
    "1.6.1-1",
    "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
)
LIBRIVOX = Package(
    "pocketsphinx-testdata",
    "0.8+5prealpha+1-15",
    "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
)
TWO_CITIES = Package(
    "moonshine-voice",
    "0.1.5",
    "1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
    wheel=True,
)
KEYBOARD = Package(
    "bucklespring-data",
    "1.4.0-2",
    "2add9f5583b3afc9c0b528066f4578baff930b74d4a94c8a25d103ef79a444e5",
)
CITY = Package(
    "lincity-ng-data",
    "2.9~git20150314-5",
    "8f5e85bd42879abdc7099b035d7a3d7468eceb6b93b52a12270c28f3f3c792f9",
)
MUSIC = Package(
    "asterisk-moh-opsound-g722",
    "2.03-1.1",
    "8d6b39d6f2e8feff54a042c4a25e1b72f3e2478d05ee372c92f77446fa0b1671",
)

PROMPTS_FOLDER = "usr/share/asterisk/sounds/en_US_f_Allison/"
PROMPT_WORDS = 4
"""Prompts of fewer words are parts to build sentences of, not something that people say."""
CORRECTIONS = {
    "*": " star ",
    "#": " pound ",
    "represenatives": "representatives",
    "thru": "through",
    "umute": "unmute",
    "un-indentified": "unidentified",
    "witheld": "withheld",
    "a more a amiable": "a more amiable",
}
"""What the published texts misspell, and signs that are read out. A word that a speaker changed is left as it is there."""
KEYSTROKES_PER_SECOND = 6.0
KEYBOARD_SECONDS = 60.0

CITY_SOUNDS = {
    "street": ("TraficHigh", "TraficLow"),
    "crowd": ("MarketFull", "SportsCroud"),
    "machines": ("Mill", "WindMillHTech", "PowerSolar", "Recycle", "Industry", "RailTrain"),
}
NOISES = (*CITY_SOUNDS, "keyboard")

TWO_CITIES_TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way, in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of speech; the language is a BCP 47 code."""

    name: str
    language: str
    samples: Samples
    transcript: str
    source: str
    licence: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE


def clips() -> list[Clip]:
    """Give all recorded speech, in a fixed order. Raises CorpusError where a package can't be had."""
    return [*austen(), *dickens(), *prompts()]


@functools.cache
def austen() -> tuple[Clip, ...]:
    """Give five sentences of Sense and Sensibility, read by a volunteer of LibriVox."""
    files = contents(LIBRIVOX)
    folder = "usr/share/pocketsphinx/test/data/librivox/"
    lines = files[folder + "transcription"].decode().splitlines()
    found = [re.fullmatch(r"<s> (.*?) *</s> \((.*)\)", line.strip()) for line in lines]
    return tuple(
        Clip(
            match[2],
            "en",
            decoded(files[f"{folder}{match[2]}.wav"]),
            _corrected(match[1]),
            LIBRIVOX.name,
            "public domain",
        )
        for match in found
        if match
    )


@functools.cache
def dickens() -> tuple[Clip, ...]:
    """Give the opening of A Tale of Two Cities, read by Pete Warden; the file says that it is CC0."""
    samples = decoded(contents(TWO_CITIES)["moonshine_voice/assets/two_cities.wav"])
    text, source = TWO_CITIES_TEXT, TWO_CITIES.name
    return (Clip("two_cities", "en", samples, text, source, "CC0-1.0"),)


@functools.cache
def prompts() -> tuple[Clip, ...]:
    """Give the telephone prompts of Asterisk that are sentences, as read by Allison Smith."""
    return tuple(
        Clip(name, "en", decoded(data, "g722"), text, PROMPTS.name, "CC-BY-SA-3.0")
        for name, data, text in _prompts()
    )


def _prompts() -> Iterator[tuple[str, bytes, str]]:
    page = contents(PROMPTS_TEXT)["usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"]
    files = contents(PROMPTS)
    for line in gzip.decompress(page).decode().splitlines():
        name, colon, text = line.partition(":")
        text, data = _corrected(text), files.get(f"{PROMPTS_FOLDER}{name}.g722")
        words = [word for word in text.split() if any(map(str.isalnum, word))]
        if colon and data is not None and "[" not in text and len(words) >= PROMPT_WORDS:
            yield name, data, text


def _corrected(text: str) -> str:
    """Correct a published text, and leave out what it remarks in parentheses."""
    for wrong, right in CORRECTIONS.items():
        text = text.replace(wrong, right)
    return re.sub(r"\(.*?\)", "", text).strip()


def noise(kind: str) -> Samples:
    """Give real noise of NOISES: a crowd is many people at once. Raises CorpusError."""
    return keyboard() if kind == "keyboard" else _city(*CITY_SOUNDS[kind])


def wordless(seconds: int) -> list[Clip]:
    """Give noise and music, so long of each, as clips in which nothing is said. Raises CorpusError."""
    sounds = {kind: noise(kind) for kind in NOISES} | dict(music())
    return [
        Clip(name, "en", np.resize(sound, seconds * SAMPLE_RATE), "", "noise and music", "")
        for name, sound in sounds.items()
    ]


@functools.cache
def music() -> Mapping[str, Samples]:
    """Give music by its name: what Asterisk plays to who waits."""
    return {
        path.rpartition("/")[2].removesuffix(".g722"): decoded(data, "g722")
        for path, data in sorted(contents(MUSIC).items())
        if path.endswith(".g722")
    }


@functools.cache
def keyboard() -> Samples:
    """Give a minute of typing: recorded strokes of an IBM Model M, in a rhythm that is always the same."""
    strokes = [
        decoded(data) for path, data in sorted(contents(KEYBOARD).items()) if path.endswith(".wav")
    ]
    chance = np.random.default_rng(0)
    typed = np.zeros(int(KEYBOARD_SECONDS * SAMPLE_RATE), np.int32)
    at = 0.0
    while (begin := int(at * SAMPLE_RATE)) < len(typed):
        stroke = strokes[chance.integers(len(strokes))][: len(typed) - begin]
        typed[begin : begin + len(stroke)] += stroke
        at += chance.exponential(1 / KEYSTROKES_PER_SECOND)
    return clipped(typed)


@functools.cache
def _city(*kinds: str) -> Samples:
    folder = "usr/share/games/lincity-ng/sounds/"
    return np.concatenate(
        [
            decoded(data)
            for path, data in sorted(contents(CITY).items())
            if path.startswith(tuple(folder + kind for kind in kinds)) and path.endswith(".wav")
        ]
    )


def decoded(data: bytes, form: str | None = None) -> Samples:
    """Decode a sound file to 16 kHz mono; `form` is FFmpeg's name of a format that a file does not tell itself."""
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with av.open(io.BytesIO(data), "r", format=form) as container:
        frames = [
            frame.to_ndarray()[0]
            for source in [*container.decode(audio=0), None]
            for frame in resampler.resample(source)
        ]
    samples: Samples = np.concatenate(frames)
    return samples


def clipped(samples: NDArray[np.generic]) -> Samples:
    """Fit samples into 16 bits."""
    fitted: Samples = np.clip(samples, -32_768, 32_767).astype(np.int16)
    return fitted


__all__ = [
    "NOISES",
    "SAMPLE_RATE",
    "Clip",
    "Samples",
    "austen",
    "clipped",
    "clips",
    "decoded",
    "dickens",
    "keyboard",
    "music",
    "noise",
    "prompts",
    "wordless",
]
