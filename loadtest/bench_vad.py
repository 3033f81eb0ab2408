"""Voice activity on recorded speech over real noise: what is missed of it, and what is taken for it that is not.

The detector hears it as in a call, 20 ms at a time, and is judged by what it says at the moment, so the time that it
takes to be sure counts as missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadtest.corpus import clips as corpus
from loadtest.corpus.clips import SAMPLE_RATE, Samples
from loadtest.corpus.packages import CorpusError
from loadtest.corpus.scene import FRAME, Scene, Truth, scene
from loadtest.peers.parley_dictation import prepared
from services.ai.models import ModelError
from services.ai.silero import SileroVad
from services.ai.vad import CHUNK, OFF_CHUNKS, Network, VoiceActivity
from stack.bench import Figure
from stack.errors import StackError

PACKET_FRAMES = 2
WAIT_SECONDS = (OFF_CHUNKS + 2) * CHUNK / SAMPLE_RATE
"""How long after speech it may still say that somebody speaks: so it bridges pauses."""
EVERY = 3
"""One prompt in so many is spoken, all of the books."""
SNRS_DB = (20, 10, 5)
ALONE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Judged:
    """What a detector made of a scene, as shares of 1: spoken and silent time, and clips of which it heard nothing."""

    condition: str
    missed: float
    lost: float
    false: float


def main() -> list[Figure]:
    """Measure, print the table. Raises StackError."""
    try:
        network = SileroVad(prepared("silero-vad"))
        spoken = scene(
            [*corpus.austen(), *corpus.dickens(), *corpus.prompts()[::EVERY]], WAIT_SECONDS
        )
        rows = list(_conditions(network, spoken))
        alone = {name: _alone(network, samples) for name, samples in _sounds()}
    except (CorpusError, ModelError) as error:
        raise StackError(str(error)) from None
    print(markdown(spoken, rows, alone), flush=True)
    return [figure for row in rows for figure in _figures(row)]


def judged(network: Network, condition: str, spoken: Scene, heard: Samples) -> Judged:
    """Let the detector hear a scene, or what was made of it."""
    said = speaking(network, heard)[: len(spoken.spoken)]
    lost = sum(not said[begin:end].any() for begin, end in spoken.spans)
    return Judged(
        condition,
        missed=float(np.mean(~said[spoken.spoken])),
        lost=lost / len(spoken.spans),
        false=float(np.mean(said[spoken.silent])),
    )


def speaking(network: Network, samples: Samples) -> Truth:
    """Tell of each frame whether the detector says, when it has been heard, that somebody speaks."""
    detector = VoiceActivity(network)
    said = np.zeros(len(samples) // FRAME, np.bool_)
    for frame in range(0, len(said), PACKET_FRAMES):
        packet = samples[frame * FRAME : (frame + PACKET_FRAMES) * FRAME]
        for _ in detector.receive(packet.tobytes(), frame * FRAME / SAMPLE_RATE):
            pass
        said[frame : frame + PACKET_FRAMES] = detector.speaking
    return said


def markdown(spoken: Scene, rows: list[Judged], alone: dict[str, float]) -> str:
    """Show what was measured as two tables."""
    lines = ["| over | spoken time missed | clips missed | silence taken for speech |"]
    lines += ["|---|--:|--:|--:|"]
    for row in rows:
        lines.append(f"| {row.condition} | {row.missed:.1%} | {row.lost:.1%} | {row.false:.1%} |")
    seconds = [
        float(np.sum(frames)) * FRAME / SAMPLE_RATE for frames in (spoken.spoken, spoken.silent)
    ]
    lines += [
        "",
        f"{len(spoken.spans)} clips, {seconds[0]:.0f} s spoken, {seconds[1]:.0f} s silent.",
    ]
    lines += ["", "| nobody speaks | taken for speech |", "|---|--:|"]
    lines += [f"| {name} | {share:.1%} |" for name, share in alone.items()]
    return "\n".join(lines)


def _conditions(network: Network, spoken: Scene) -> Iterator[Judged]:
    yield judged(network, "nothing", spoken, spoken.samples)
    for name, samples in _sounds():
        for snr_db in SNRS_DB:
            heard = spoken.over(samples, snr_db)
            yield judged(network, f"{name}, {snr_db} dB", spoken, heard)


def _sounds() -> Iterator[tuple[str, Samples]]:
    for kind in corpus.NOISES:
        yield kind, corpus.noise(kind)
    yield (
        "music",
        np.concatenate([piece[: ALONE_SECONDS * SAMPLE_RATE] for piece in corpus.music().values()]),
    )


def _alone(network: Network, samples: Samples) -> float:
    return float(np.mean(speaking(network, samples)))


def _figures(row: Judged) -> list[Figure]:
    return [
        Figure(f"speech missed over {row.condition}", 100 * row.missed, "%"),
        Figure(f"silence taken for speech over {row.condition}", 100 * row.false, "%"),
    ]


__all__ = ["Judged", "judged", "main", "markdown", "speaking"]
