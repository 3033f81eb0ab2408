"""Voice activity: from sound to when somebody begins and ends to speak. Sans I/O; the network is given.

The network (Silero VAD 6) judges 512 new samples at a time, 32 ms at 16 kHz, with 64 samples of context before them
and a state of its own. Speech begins after ON_CHUNKS likely chunks in a row and ends when OFF_CHUNKS have passed
without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
CHUNK = 512
CONTEXT = 64
STATE_SHAPE = (2, 1, 128)
ON_PROBABILITY = 0.5
OFF_PROBABILITY = 0.35
ON_CHUNKS = 2
OFF_CHUNKS = 16
JUMP_SECONDS = 0.5
"""A gap in the sound's clock that makes a new beginning."""

Samples = NDArray[np.float32]


class Network(Protocol):
    """The neural network."""

    def judge(self, samples: Samples, state: Samples) -> tuple[float, Samples]:
        """Judge CONTEXT + CHUNK samples; returns the speech probability, 0 to 1, and the next state."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """Speech has begun or ended, `offset` seconds into the track."""

    speaking: bool
    offset: float
    probability: float


@dataclass(frozen=True, slots=True)
class Step:
    """CHUNK samples were judged, whose last stands at `end`, in seconds.

    `speaking`: whether speech goes on then; `change`: it has begun or ended by this step.
    A jump of the sound's clock is a step of its own (`is_new_beginning`), without samples.
    """

    samples: Samples
    end: float
    probability: float
    speaking: bool
    change: Change | None
    is_new_beginning: bool = False


class VoiceActivity:
    """One track's voice activity."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.speaking = False
        self._run = 0
        self._end = 0.0
        self._waiting = self._context = self._state = np.zeros(0, np.float32)
        self._reset(0.0)

    def receive(self, pcm: bytes, offset: float) -> Iterator[Change]:
        """Take 16-bit little-endian samples that begin `offset` seconds into the track; gives what changes."""
        for step in self.steps(pcm, offset):
            if step.change is not None:
                yield step.change

    def steps(self, pcm: bytes, offset: float) -> Iterator[Step]:
        """Take samples like `receive`; gives each step."""
        if abs(offset - self._end) > JUMP_SECONDS:
            self._reset(offset)
            hushed = (
                Change(speaking=False, offset=offset, probability=0.0) if self.speaking else None
            )
            self.speaking = False
            nothing = np.zeros(0, np.float32)
            yield Step(nothing, offset, 0.0, False, hushed, is_new_beginning=True)
        fresh = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
        self._end = offset + len(fresh) / SAMPLE_RATE
        self._waiting = np.concatenate([self._waiting, fresh])
        while len(self._waiting) >= CHUNK:
            chunk, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
            probability, self._state = self._network.judge(
                np.concatenate([self._context, chunk]), self._state
            )
            self._context = chunk[-CONTEXT:]
            has_changed = self._step(probability)
            at = self._end - len(self._waiting) / SAMPLE_RATE
            change = Change(self.speaking, at, probability) if has_changed else None
            yield Step(chunk, at, probability, self.speaking, change)

    def _step(self, probability: float) -> bool:
        """Count a chunk's probability; returns whether speech has begun or ended by it."""
        likely = probability >= (OFF_PROBABILITY if self.speaking else ON_PROBABILITY)
        self._run = self._run + 1 if likely != self.speaking else 0
        if self._run < (OFF_CHUNKS if self.speaking else ON_CHUNKS):
            return False
        self.speaking, self._run = not self.speaking, 0
        return True

    def _reset(self, offset: float) -> None:
        self._end = offset
        self._run = 0
        self._waiting = np.zeros(0, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._state = np.zeros(STATE_SHAPE, np.float32)


__all__ = ["CHUNK", "SAMPLE_RATE", "Change", "Network", "Samples", "Step", "VoiceActivity"]
