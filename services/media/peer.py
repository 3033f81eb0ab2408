"""A participant's place in a room: what it may do, its two connections, and how they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.media.publisher import Publisher
from services.media.quality import Signs, Verdict
from services.media.subscriber import Subscriber

CHECK_SECONDS = 0.2
"""How often connections are looked at: their timers are of seconds."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What a participant may do: sources by name, whether others may be received, and whether it is told the room's mood."""

    publish: frozenset[str]
    subscribe: bool
    mood: bool = False


@dataclass(eq=False)
class Peer:
    """A participant's place: its two connections."""

    participant: str
    grants: Grants
    publisher: Publisher
    subscriber: Subscriber
    verdict: Verdict = field(default_factory=Verdict)
    starved: set[str] = field(default_factory=set)
    checked_at: float = 0.0

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.publisher.tracks:
            self.publisher.tick(now)
        self.subscriber.tick(now)
        if now - self.checked_at >= CHECK_SECONDS:
            self.checked_at = now
            self.publisher.transport.tick(now)
            self.subscriber.transport.tick(now)

    def signs(self, now: float) -> Signs:
        """See how its connections do."""
        encodings = [e for t in self.publisher.tracks.values() for e in t.forwarder.encodings]
        active = [each.reception for each in encodings if each.is_active(now)]
        checks = [
            transport.ice.last_check
            for transport in (self.publisher.transport, self.subscriber.transport)
            if transport.is_connected
        ]
        return Signs(
            loss_up=max((each.fraction_lost for each in active), default=0.0),
            loss_down=self.subscriber.quota.estimator.losses.fraction,
            rtt_seconds=self.subscriber.rtt_seconds,
            jitter_seconds=max((each.jitter_seconds for each in active), default=0.0),
            since_check_seconds=now - min(checks) if checks else 0.0,
            starved=bool(self.starved),
        )


__all__ = ["Grants", "Peer"]
