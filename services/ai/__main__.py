"""`python -m services.ai`: the ai service as a process."""

from __future__ import annotations

import sys

import chassis
from services.ai.app import running
from services.ai.config import Config
from services.ai.models import ModelError

if __name__ == "__main__":
    try:
        sys.exit(chassis.run(running, Config, "ai"))
    except ModelError as error:
        sys.exit(f"ai: {error}")
