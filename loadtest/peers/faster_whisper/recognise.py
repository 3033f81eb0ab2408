"""faster-whisper behind a pair of pipes: one thread, int8, greedy, without its voice detector.

Reads requests, a line of JSON each ({"language", "samples"}) and then that many 16-bit samples at 16 kHz; answers each
with a line {"text"}. Greedy means that it takes the likeliest token and never samples, so that a run can be repeated.
"""

import json
import sys

import numpy as np
from faster_whisper import WhisperModel

WINDOW_SAMPLES = 30 * 16_000


def main() -> None:
    """Answer until the input ends."""
    model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=1)
    print(json.dumps({"ready": True}), flush=True)
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        pcm = sys.stdin.buffer.read(2 * request["samples"])
        segments, _ = model.transcribe(
            np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768,
            language=request["language"],
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
            # Beyond one window it needs them to know where to go on.
            without_timestamps=request["samples"] <= WINDOW_SAMPLES,
        )
        text = "".join(segment.text for segment in segments).strip()
        print(json.dumps({"text": text}), flush=True)


if __name__ == "__main__":
    main()
