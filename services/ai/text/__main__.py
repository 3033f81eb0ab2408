"""`python -m services.ai.text`: extractive summaries, a line of JSON in, a line out, until there are no more."""

from __future__ import annotations

import json
import os
import sys

from services.ai.text.extraction import summarise
from services.ai.text.summary import Line

NICENESS = 10
"""Those who speak now go before those who read later."""

if __name__ == "__main__":
    os.nice(NICENESS)
    for asked in map(json.loads, sys.stdin.buffer):
        summary = summarise([Line(*line) for line in asked["lines"]], asked["language"])
        print(json.dumps(summary.plain()), flush=True)
