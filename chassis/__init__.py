"""What every Parley process stands on.

The chassis knows no service: nothing here imports `services`. A service composes these parts in its `app.py`, and
`chassis.run` turns that composition into a process.
"""

from __future__ import annotations

from chassis.process import run

__all__ = ["run"]
