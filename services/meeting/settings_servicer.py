"""SettingsService: a meeting's settings, as far as they are built.

What nobody has built yet is shown with its default and refused when it is to be changed: a setting that is stored and
does nothing would be a lie.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from parley.meeting.v1 import settings_pb2, settings_pb2_grpc

from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument, Unimplemented
from services.meeting import audit
from services.meeting.domain import Meeting
from services.meeting.peers import Peers
from services.meeting.settings import RETENTION_SECONDS, SWITCHES, ChatPolicy, MeetingEncrypted
from services.meeting.store import MeetingTransaction, Store
from services.meeting.telling import Telling

STORED = frozenset(
    {
        "guests_allowed",
        "captions",
        "transcript",
        "transcript_retention",
        "summary",
        "emotions",
        "language_code",
        "translation_language_codes",
        "vocabulary",
        "chat_policy",
        "chat_retention",
    }
)
"""What is kept as settings; whether a meeting is encrypted is kept with it."""
BUILT = STORED | {"end_to_end_encrypted"}

CHAT_POLICIES = {
    ChatPolicy.EVERYONE: settings_pb2.CHAT_POLICY_EVERYONE,
    ChatPolicy.PUBLIC: settings_pb2.CHAT_POLICY_PUBLIC,
    ChatPolicy.HOSTS: settings_pb2.CHAT_POLICY_HOSTS,
    ChatPolicy.OFF: settings_pb2.CHAT_POLICY_OFF,
}

_IDENTITY = frozenset({"name", "etag"})
_CHOSEN = {proto: policy for policy, proto in CHAT_POLICIES.items()}


class SettingsServicer(settings_pb2_grpc.SettingsServiceServicer):
    """Reads and changes settings. `emotions_allowed` is the operator's policy."""

    def __init__(
        self, store: Store, peers: Peers, telling: Telling, clock: Clock, *, emotions_allowed: bool
    ) -> None:
        self._store = store
        self._peers = peers
        self._telling = telling
        self._clock = clock
        self._emotions_allowed = emotions_allowed

    async def GetSettings(
        self, request: settings_pb2.GetSettingsRequest, context: Any
    ) -> settings_pb2.Settings:
        """Read a meeting's settings."""
        meeting, _ = await self._store.meeting(_code(request.name))
        return settings_proto(meeting)

    async def UpdateSettings(
        self, request: settings_pb2.UpdateSettingsRequest, context: Any
    ) -> settings_pb2.Settings:
        """Change a meeting's settings."""
        caller, code = UUID(user_principal().user_id), _code(request.settings.name)
        async with self._store.locked_meeting(code) as transaction:
            before = transaction.meeting
            before.check_configurable(caller, request.settings.etag)
            changed = await self._changed(transaction, request)
            transaction.change_meeting(changed)
            transaction.audit(
                audit.switched(
                    changed.update_time, caller, changed.name, before.settings, changed.settings
                )
            )
        shown = settings_proto(changed)
        if changed is not before:
            self._telling.analysis_changed(code)
            await self._peers.settings_changed(changed.name, shown)
        return shown

    async def _changed(
        self, transaction: MeetingTransaction, request: settings_pb2.UpdateSettingsRequest
    ) -> Meeting:
        meeting, wanted, paths = transaction.meeting, request.settings, _paths(request)
        encrypted = meeting.end_to_end_encrypted
        if "end_to_end_encrypted" in paths:
            encrypted = wanted.end_to_end_encrypted
        if encrypted and any(getattr(wanted, path) for path in paths & set(SWITCHES)):
            raise MeetingEncrypted(meeting=meeting.name)
        if unbuilt := sorted(paths - BUILT):
            raise Unimplemented(text=f"This server does not have {', '.join(unbuilt)} yet.")
        settings = meeting.settings.changed(
            _values(wanted, paths & STORED), emotions_allowed=self._emotions_allowed
        )
        joined = await transaction.has_joined()
        return meeting.configured(self._clock.now(), settings, encrypted=encrypted, joined=joined)


def settings_proto(meeting: Meeting) -> settings_pb2.Settings:
    """Show a meeting's settings: what is built, and the documented defaults of the rest."""
    kept = meeting.settings
    shown = settings_pb2.Settings(
        name=f"{meeting.name}/settings",
        etag=meeting.etag,
        screen_sharing_allowed=True,
        host_leave_policy=settings_pb2.HOST_LEAVE_POLICY_HAND_OVER,
        chat_policy=CHAT_POLICIES[kept.chat_policy],
        guests_allowed=kept.guests_allowed,
        captions=kept.captions,
        transcript=kept.transcript,
        summary=kept.summary,
        emotions=kept.emotions,
        language_code=kept.language_code,
        translation_language_codes=kept.translation_language_codes,
        vocabulary=kept.vocabulary,
        end_to_end_encrypted=meeting.end_to_end_encrypted,
    )
    shown.chat_retention.seconds = kept.chat_retention_seconds
    shown.transcript_retention.seconds = kept.transcript_retention_seconds
    return shown


def _values(wanted: settings_pb2.Settings, paths: Collection[str]) -> dict[str, Any]:
    """Read what is to be changed, as Settings has it."""
    values: dict[str, Any] = {}
    for path in paths:
        value = getattr(wanted, path)
        if path in ("transcript_retention", "chat_retention"):
            is_set = wanted.HasField(path)  # type: ignore[arg-type]  # one of the two
            values[f"{path}_seconds"] = value.seconds if is_set else RETENTION_SECONDS
        elif path == "chat_policy":
            values[path] = _CHOSEN.get(value, ChatPolicy.EVERYONE)
        elif isinstance(value, bool | str):
            values[path] = value
        else:
            values[path] = tuple(value)
    return values


def _paths(request: settings_pb2.UpdateSettingsRequest) -> frozenset[str]:
    """Which fields to change: those of the mask, else those that are set. Raises InvalidArgument."""
    known = frozenset(settings_pb2.Settings.DESCRIPTOR.fields_by_name) - _IDENTITY
    paths = frozenset(request.update_mask.paths)
    if not paths:
        paths = known & {field.name for field, _ in request.settings.ListFields()}
    if unknown := sorted(paths - known):
        raise InvalidArgument(fields={"update_mask": f"there is no {', '.join(unknown)}"})
    if not paths:
        raise InvalidArgument(fields={"settings": "nothing to change"})
    return paths


def _code(name: str) -> str:
    """Cut the code out of `meetings/{code}/settings`, which the contract has seen to."""
    return name.split("/")[1]
