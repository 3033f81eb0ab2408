"""Which layers of a track anybody watches, so that its publisher need not send the others. Pure.

More is asked for at once; less only after nobody has wanted more for a while.
"""

from __future__ import annotations

LESS_SECONDS = 4.0


class LayersWanted:
    """Of one simulcast track. `rank` is the highest layer that is asked for, -1 for none; at first all are."""

    def __init__(self, layers: int) -> None:
        self.rank = layers - 1
        self._more_at: float | None = None

    def update(self, wanted: int, now: float) -> bool:
        """Take the highest rank that anybody watches now; returns whether what is asked for has changed."""
        if self._more_at is None or wanted >= self.rank:
            self._more_at = now
        changed = wanted > self.rank or (wanted < self.rank and now - self._more_at >= LESS_SECONDS)
        if changed:
            self.rank = wanted
            self._more_at = now
        return changed


__all__ = ["LESS_SECONDS", "LayersWanted"]
