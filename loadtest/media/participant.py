"""A light client in a room, whatever SFU holds it: what it sends, what it receives, and how long joining took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from loadtest.media.connection import Certificate
from loadtest.media.downlink import Downlink
from loadtest.media.figures import Figures
from loadtest.media.uplink import Profile, Uplink

FIRST_PACKET_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What all light clients of a process share. `host` is the address that their sockets are bound to.

    `red` says whether they take redundant sound.
    """

    certificate: Certificate
    host: str
    profile: Profile
    figures: Figures
    verify: int = 1
    red: bool = False


class Participant:
    """`number` is unique in the run; `publishes` and `subscribes` say which connections it has."""

    def __init__(
        self, settings: Settings, number: int, *, publishes: bool, subscribes: bool
    ) -> None:
        certificate, host, figures = settings.certificate, settings.host, settings.figures
        self.number = number
        self.uplink = (
            Uplink(certificate, host, settings.profile, number, figures) if publishes else None
        )
        self.downlink = (
            Downlink(certificate, host, figures, settings.verify, red=settings.red)
            if subscribes
            else None
        )
        self._figures = figures
        self._began = time.monotonic()

    def begin(self) -> None:
        """Joining begins now."""
        self._began = time.monotonic()

    async def connected(self) -> None:
        """Wait until what it sends is on its way, and count it as joined. Raises ConnectionFailed."""
        if self.uplink is not None:
            await self.uplink.start()
        elif self.downlink is not None and self.downlink.tracks:
            await self.downlink.connection.connected
        self._figures.joined += 1
        self._figures.join.add(self._since())

    async def heard(self) -> bool:
        """Wait for the first packet, for a while; tells whether one came."""
        downlink = self.downlink
        if downlink is None:
            return False
        try:
            at = await asyncio.wait_for(asyncio.shield(downlink.first_packet), FIRST_PACKET_SECONDS)
        except TimeoutError:
            return False
        self._figures.first_packet.add(int((at - self._began) * 1e6))
        return True

    def close(self) -> None:
        """Leave."""
        if self.uplink is not None:
            self.uplink.close()
        if self.downlink is not None:
            self.downlink.close()

    def _since(self) -> int:
        return int((time.monotonic() - self._began) * 1e6)


__all__ = ["Participant", "Settings"]
