"""Parley's own recognition without the service around it: as it is measured beside faster-whisper, on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from loadtest.corpus import clips
from loadtest.corpus.packages import ROOT
from loadtest.corpus.score import Recogniser
from services.ai import models
from services.ai.dictation import Dictation, Job
from services.ai.silero import SileroVad
from services.ai.speech import Memory, Settings, WhisperRecogniser
from services.ai.vad import SAMPLE_RATE, Network, Samples, VoiceActivity
from services.ai.whisper.model import Whisper
from stack.state import default_root

MODELS: Mapping[str, str] = {"base": "whisper-base", "tiny.en": "whisper-tiny-en"}
"""Names of manifests by Whisper's names."""


@contextmanager
def parley(model: str) -> Iterator[Recogniser]:
    """Load a model of MODELS. Raises ModelError."""
    network = SileroVad(prepared("silero-vad"))
    recogniser = WhisperRecogniser(Whisper(prepared(MODELS[model])))

    def understand(samples: Samples, language: str) -> str:
        return recogniser.understand(samples, Settings(language), Memory(), final=True).text

    def recognise(samples: clips.Samples, language: str) -> str:
        return " ".join(understand(each, language) for each in segments(network, samples))

    yield Recogniser(f"parley {model}", recognise, os.getpid())


def segments(network: Network, samples: clips.Samples) -> Iterator[Samples]:
    """Cut sound as a call's is cut, at pauses; what is no speech is left out."""
    voice, dictation = VoiceActivity(network), Dictation(partials=False)
    for at in range(0, len(samples), SAMPLE_RATE):
        pcm = samples[at : at + SAMPLE_RATE].tobytes()
        for step in voice.steps(pcm, at / SAMPLE_RATE):
            dictation.take(step)
        yield from (job.samples for job in _due(dictation))
    dictation.finish()
    yield from (job.samples for job in _due(dictation))


def by_segments(recognise: Callable[[clips.Samples, str], str]) -> Callable[..., str]:
    """Let another recognise the segments that Parley does, one by one."""
    network = SileroVad(prepared("silero-vad"))

    def of_all(samples: clips.Samples, language: str) -> str:
        whole = (clips.clipped(np.rint(each * 32_768)) for each in list(segments(network, samples)))
        return " ".join(recognise(each, language) for each in whole)

    return of_all


def prepared(name: str) -> Path:
    """Have a model's folder, in the cache of this repository's stack; it is built if need be. Raises ModelError."""
    manifest = models.named(models.manifests(), name)
    return models.prepare(manifest, default_root(ROOT) / "cache" / "models", lambda *_: None)


def _due(dictation: Dictation) -> Iterator[Job]:
    while (job := dictation.next()) is not None:
        yield job


__all__ = ["MODELS", "by_segments", "parley", "prepared", "segments"]
