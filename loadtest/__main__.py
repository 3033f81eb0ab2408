"""`python -m loadtest`: runs scenarios, and makes what ghz needs to run them."""

from __future__ import annotations

import sys

from loadtest.cli import main

sys.exit(main())
