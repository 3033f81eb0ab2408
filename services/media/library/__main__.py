"""`python -m services.media.library`: the media library as a process."""

from __future__ import annotations

import sys

import chassis
from services.media.library.app import running
from services.media.library.config import Config

if __name__ == "__main__":
    sys.exit(chassis.run(running, Config, "library"))
