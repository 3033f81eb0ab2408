"""Who speaks and who spoke last, by the audio levels that clients send with each packet (RFC 6464). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LOUD = 45
"""-dBov: what is at most this far below the loudest possible sound is speech."""
SMOOTHING = 0.3
HANG_SECONDS = 0.7
"""So long somebody counts as speaking after the last loud sound: words have gaps."""
SILENCE = 127.0


class Speakers:
    """Feed it everybody's level some twenty times a second."""

    def __init__(self) -> None:
        self._levels: dict[str, float] = {}
        self._loud_at: dict[str, float] = {}

    def update(self, levels: Mapping[str, int], now: float) -> None:
        """Take the levels (-dBov, 0 to 127) of those who have a microphone; others are forgotten in time."""
        for participant, level in levels.items():
            before = self._levels.get(participant, SILENCE)
            smoothed = self._levels[participant] = before + SMOOTHING * (level - before)
            if smoothed <= LOUD:
                self._loud_at[participant] = now

    def forget(self, participant: str) -> None:
        """Somebody has left."""
        self._levels.pop(participant, None)
        self._loud_at.pop(participant, None)

    def speaking(self, now: float) -> list[str]:
        """List who speaks now, by name."""
        return sorted(who for who, at in self._loud_at.items() if now - at < HANG_SECONDS)

    def latest(self, participants: Iterable[str], count: int) -> frozenset[str]:
        """Choose the `count` who spoke last; among those who never did, the first of `participants`."""
        ordered = sorted(participants, key=lambda who: -self._loud_at.get(who, 0.0))  # stable
        return frozenset(ordered[:count])


__all__ = ["Speakers"]
