"""Word error rates on recorded speech, and what they cost: Parley's recognition beside faster-whisper on the same weights.

All clips of loadtest/corpus, one at a time, on one thread; then noise and music, of which nothing is to be written. Each
is told the language. Parley recognises what its voice activity finds, segment by segment, as in a call, without partial
texts; faster-whisper is given the same segments, and the clips whole as well. What was written is compared by Whisper's
own normaliser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from loadtest.corpus.clips import clips, wordless
from loadtest.corpus.packages import CorpusError
from loadtest.corpus.score import Recogniser, Score, markdown, scored
from loadtest.peers.dictation import WEIGHTS, faster_whisper
from loadtest.peers.parley_dictation import by_segments, parley
from services.ai.models import ModelError
from stack.bench import Figure
from stack.errors import StackError

WORDLESS_SECONDS = 30
COST_BAR = 0.4
"""Parley's CPU, of what faster-whisper takes for the same segments."""


@contextmanager
def _same_segments(model: str) -> Iterator[Recogniser]:
    with faster_whisper(model) as whole:
        yield dataclasses.replace(
            whole, name=f"{whole.name}, same segments", recognise=by_segments(whole.recognise)
        )


Start = Callable[[str], AbstractContextManager[Recogniser]]
STARTS: Mapping[str, Start] = {
    "parley": parley,
    "same segments": _same_segments,
    "whole": faster_whisper,
}
"""Who is measured, by what runs him on the weights of a name of WEIGHTS."""


def main() -> list[Figure]:
    """Measure all on all weights. Raises StackError."""
    try:
        return [figure for model in WEIGHTS for figure in _compared(model)]
    except (CorpusError, ModelError) as error:
        raise StackError(str(error)) from None


def _compared(model: str) -> list[Figure]:
    said, unsaid = {}, {}
    for way, start in STARTS.items():
        with start(model) as recogniser:
            said[way] = scored(recogniser, clips())
            unsaid[way] = scored(recogniser, wordless(WORDLESS_SECONDS))
    print(markdown(list(said.values())), flush=True)
    figures = [figure for way in STARTS for figure in _figures(said[way], unsaid[way])]
    return [*figures, *_bars(model, said["parley"], said["same segments"])]


def _figures(said: Score, unsaid: Score) -> list[Figure]:
    return [
        Figure(f"{said.name}: word error rate", 100 * said.errors.rate, "%"),
        Figure(f"{said.name}: CPU", said.cost, "s per second of sound"),
        Figure(f"{said.name}: made up over noise and music", unsaid.made_up, "words a minute"),
    ]


def _bars(model: str, ours: Score, theirs: Score) -> list[Figure]:
    share = ours.cost / theirs.cost
    more = 100 * (ours.errors.rate - theirs.errors.rate)
    return [
        Figure(
            f"{model}: CPU, of faster-whisper's", share, "", f"<= {COST_BAR}", share <= COST_BAR
        ),
        Figure(f"{model}: word errors beyond faster-whisper's", more, "points", "<= 0", more <= 0),
    ]


__all__ = ["main"]
