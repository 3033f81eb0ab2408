"""`python -m services.signaling`: the signaling service as a process."""

from __future__ import annotations

import sys

import chassis
from services.signaling.app import running
from services.signaling.config import Config

if __name__ == "__main__":
    sys.exit(chassis.run(running, Config, "signaling"))
