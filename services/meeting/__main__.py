"""`python -m services.meeting`: the meeting service as a process."""

from __future__ import annotations

import sys

import chassis
from services.meeting.app import running
from services.meeting.config import Config

if __name__ == "__main__":
    sys.exit(chassis.run(running, Config, "meeting"))
