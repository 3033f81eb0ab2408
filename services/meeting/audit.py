"""What the audit log is told: each switch by which a server hears, sees or keeps, each consent, who may do what. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from uuid import UUID, uuid4

from services.meeting.settings import SWITCHES, Consent, Settings


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that was done: by `actor` (`users/{id}`), `action` (`noun.verb`), to `subject` (a resource name)."""

    time: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, str] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid4)


def done(now: datetime, user: UUID, action: str, subject: str, **details: str) -> AuditEvent:
    """Tell of something that a user has done."""
    return AuditEvent(now, f"users/{user}", action, subject, details)


def switched(
    now: datetime, user: UUID, meeting: str, before: Settings, after: Settings
) -> Iterator[AuditEvent]:
    """Tell of each switch that was turned."""
    for name in SWITCHES:
        if getattr(before, name) != (is_on := getattr(after, name)):
            verb = "enable" if is_on else "disable"
            yield AuditEvent(now, f"users/{user}", f"{name}.{verb}", meeting)


def agreed(
    now: datetime, user: UUID, participant: str, before: Consent, after: Consent
) -> Iterator[AuditEvent]:
    """Tell of each consent that was given or taken back."""
    for each in fields(Consent):
        if getattr(before, each.name) == (says := getattr(after, each.name)):
            continue
        name = each.name.removesuffix("_declined")
        verb = "give" if says == (name == each.name) else "withdraw"
        yield AuditEvent(now, f"users/{user}", f"consent.{verb}", participant, {"to": name})


__all__ = ["AuditEvent", "agreed", "done", "switched"]
