"""Word error rates on recorded speech, and what they cost: faster-whisper on the same weights, beside ours.

All clips of loadtest/corpus, one at a time, on one thread; then noise and music, of which nothing is to be written. What
a recogniser is told is the language; what it wrote is compared by Whisper's own normaliser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from loadtest.corpus.clips import clips, wordless
from loadtest.corpus.packages import CorpusError
from loadtest.corpus.score import Recogniser, Score, markdown, scored
from loadtest.peers.dictation import WEIGHTS, faster_whisper
from stack.bench import Figure
from stack.errors import StackError

Start = Callable[[str], AbstractContextManager[Recogniser]]
STARTS: Mapping[str, Start] = {"faster-whisper": faster_whisper}
"""Who is measured, by what runs him on the weights of a name of WEIGHTS."""


WORDLESS_SECONDS = 30


def main() -> list[Figure]:
    """Measure all on all weights. Raises StackError."""
    try:
        results = [_result(start, model) for model in WEIGHTS for start in STARTS.values()]
    except CorpusError as error:
        raise StackError(str(error)) from None
    print(markdown([said for said, _ in results]), flush=True)
    return [figure for result in results for figure in _figures(*result)]


def _result(start: Start, model: str) -> tuple[Score, Score]:
    """Score somebody on what is said, and on noise and music."""
    with start(model) as recogniser:
        return scored(recogniser, clips()), scored(recogniser, wordless(WORDLESS_SECONDS))


def _figures(said: Score, unsaid: Score) -> list[Figure]:
    return [
        Figure(f"{said.name}: word error rate", 100 * said.errors.rate, "%"),
        Figure(f"{said.name}: CPU", said.cost, "s per second of sound"),
        Figure(f"{said.name}: made up over noise and music", unsaid.made_up, "words a minute"),
    ]
