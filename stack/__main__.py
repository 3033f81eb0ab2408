"""`python -m stack`: the commands of `./parley`."""

from __future__ import annotations

import sys

from stack.cli import main

sys.exit(main())
