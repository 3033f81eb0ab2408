"""`python -m services.ai.text`: one extractive summary. JSON in, JSON out; then it ends, and its memory with it."""

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
    asked = json.load(sys.stdin.buffer)
    summary = summarise([Line(*line) for line in asked["lines"]], asked["language"])
    json.dump(summary.plain(), sys.stdout)
