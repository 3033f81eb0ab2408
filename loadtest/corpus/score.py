"""How well, and at what cost, somebody recognises the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from loadtest import cpu
from loadtest.corpus.clips import Clip, Samples
from loadtest.corpus.wording import Errors, errors, total

Recognise = Callable[[Samples, str], str]
"""Write what is said in samples (16-bit, 16 kHz) of a language (BCP 47)."""


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Who is measured; `pid` is the process that does the work, whose CPU counts."""

    name: str
    recognise: Recognise
    pid: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What was written for a clip."""

    clip: Clip
    text: str
    errors: Errors
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """All that one recogniser wrote."""

    name: str
    readings: tuple[Reading, ...]

    @property
    def errors(self) -> Errors:
        """Count all errors."""
        return total(reading.errors for reading in self.readings)

    @property
    def seconds(self) -> float:
        """How long all clips are."""
        return sum(reading.clip.seconds for reading in self.readings)

    @property
    def cost(self) -> float:
        """CPU seconds per second of sound."""
        return sum(reading.cpu_seconds for reading in self.readings) / self.seconds

    def of(self, source: str) -> Score:
        """Keep the clips of one package."""
        kept = tuple(reading for reading in self.readings if reading.clip.source == source)
        return Score(self.name, kept)

    @property
    def made_up(self) -> float:
        """Words a minute that were written and not said."""
        return self.errors.added / (self.seconds / 60)

    @property
    def sources(self) -> list[str]:
        """The packages that clips came from, in the corpus's order."""
        return list(dict.fromkeys(reading.clip.source for reading in self.readings))


def scored(recogniser: Recogniser, clips: Iterable[Clip]) -> Score:
    """Let somebody recognise clips, one after the other."""
    return Score(recogniser.name, tuple(_read(recogniser, clip) for clip in clips))


def _read(recogniser: Recogniser, clip: Clip) -> Reading:
    family = {recogniser.name: [recogniser.pid]}
    before = cpu.read(family)
    text = recogniser.recognise(clip.samples, clip.language)
    spent = cpu.spent(before, cpu.read(family))[recogniser.name]
    return Reading(clip, text, errors(clip.transcript, text, clip.language), spent)


def markdown(scores: Sequence[Score]) -> str:
    """Show scores side by side, a line for each source of clips and one for all."""
    lines = [
        "| speech | minutes | words | " + " | ".join(score.name for score in scores) + " |",
        "|---|--:|--:|" + "--:|" * len(scores),
    ]
    for source in [*scores[0].sources, None]:
        rows = [score.of(source) if source else score for score in scores]
        rates = " | ".join(f"{row.errors.rate:.1%}" for row in rows)
        said, minutes = rows[0].errors.said, rows[0].seconds / 60
        lines.append(f"| {source or 'all'} | {minutes:.1f} | {said} | {rates} |")
    costs = " | ".join(f"{score.cost:.3f}" for score in scores)
    return "\n".join([*lines, f"| CPU seconds per second of sound | | | {costs} |"])


__all__ = ["Reading", "Recognise", "Recogniser", "Score", "markdown", "scored"]
