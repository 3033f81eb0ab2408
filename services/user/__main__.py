"""`python -m services.user`: the user service as a process."""

from __future__ import annotations

import sys

import chassis
from services.user.app import running
from services.user.config import Config

if __name__ == "__main__":
    sys.exit(chassis.run(running, Config, "user"))
