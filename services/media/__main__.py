"""`python -m services.media`: the media service as a process."""

from __future__ import annotations

import sys

import chassis
from services.media.app import running
from services.media.config import Config

if __name__ == "__main__":
    sys.exit(chassis.run(running, Config, "media"))
