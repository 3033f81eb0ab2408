"""What a person sees: progress while a stack starts, and the table of how it does."""

from __future__ import annotations

import time
from collections.abc import Mapping

from stack.state import StackStatus, State

TOLD = frozenset({"preparing", "ready", "unwell", "restarting", "failed"})
"""States that are worth a line."""


class Progress:
    """Tells what happens to a stack, a line per event, with the seconds since the start."""

    def __init__(self) -> None:
        self.preparations: Mapping[str, str] = {}
        self._began = time.monotonic()
        self._states: dict[str, str] = {}
        self._warned = ""
        self._is_stopping = False

    def show(self, status: StackStatus) -> None:
        """Tell what has changed."""
        for process in status.processes:
            if self._states.get(process.name) == process.state:
                continue
            self._states[process.name] = process.state
            text = process.state
            if text == "preparing":
                text = self.preparations.get(process.name, "")
            elif text not in TOLD:
                continue
            if text and not self._is_stopping:
                self._line(f"{process.name:10} {text}")

    def finish(self, text: str) -> None:
        """Say that the start is over, and what there is now."""
        self._line("all ready\n")
        print(text, flush=True)

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._is_stopping = True
        print("\nStopping …", flush=True)

    def warn(self, text: str) -> None:
        """Say something that is amiss, once."""
        if text != self._warned:
            self._warned = text
            self._line(text)

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
    places = [f"Open   {status.url}", f"Logs   {state.logs}   (./parley logs NAME)"]
    return "\n".join([*lines, "", *places, f"Data   {state.data}"])


__all__ = ["Progress", "table"]
