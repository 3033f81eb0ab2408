"""What a person sees: progress while a stack starts, and the table of how it does."""

from __future__ import annotations

import sys
import time

from stack.state import StackStatus, State


class Progress:
    """Tells how far a start is: one line that is rewritten on a terminal, a line per event elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._said: set[tuple[str, str]] = set()
        self._finished = False

    def step(self, name: str) -> None:
        """Say that something has begun."""
        self._line(f"{name} …")

    def done(self, how: str) -> None:
        """Say how it ended."""
        self._line(how)

    def show(self, status: StackStatus) -> None:
        """Tell what has changed in a stack."""
        for process in status.processes:
            event = (process.name, process.state)
            if event not in self._said and process.state in (
                "ready",
                "failed",
                "restarting",
                "stopped",
            ):
                self._said.add(event)
                self._line(f"{process.name} {process.state}")
            if process.state == "restarting":
                self._said.discard((process.name, "ready"))
            if process.state == "ready":
                self._said.discard((process.name, "restarting"))

    def finish(self, text: str) -> None:
        """Say that the start is over."""
        self._line(f"ready after {time.monotonic() - self._began:.1f} s")
        print(f"\n{text}", flush=True)

    def _line(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def table(status: StackStatus, state: State) -> str:
    """Draw how each process does, the address to open, and where logs and data are."""
    rows = [("process", "state", "pid", "restarts", "ports")]
    rows += [
        (
            process.name,
            process.state,
            str(process.pid or "-"),
            str(process.restarts),
            " ".join(f"{purpose}:{port}" for purpose, port in process.ports.items()),
        )
        for process in status.processes
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"Open   {status.url}",
            f"Logs   {state.logs}   (./parley logs NAME)",
            f"Data   {state.data}",
        ]
    )


__all__ = ["Progress", "table"]
