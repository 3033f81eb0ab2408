"""SettingsService: a meeting's settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from parley.meeting.v1 import settings_pb2, settings_pb2_grpc

from chassis.errors import InvalidArgument
from services.meeting import audit
from services.meeting.desk import Desk
from services.meeting.domain import Meeting, NotHost
from services.meeting.gathering_store import Opened
from services.meeting.peers import Peers
from services.meeting.roles import Standing
from services.meeting.settings import (
    HOST_LEAVES_END,
    HOST_LEAVES_HAND_OVER,
    RETENTION_SECONDS,
    SWITCHES,
    ChatPolicy,
    MeetingEncrypted,
)
from services.meeting.shown import caller, code_of
from services.meeting.store import Store

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
        "lobby",
        "mute_on_entry",
        "screen_sharing_allowed",
        "host_leave_policy",
    }
)
"""What is kept as settings; whether a meeting is encrypted is kept with it."""

CHAT_POLICIES = {
    ChatPolicy.EVERYONE: settings_pb2.CHAT_POLICY_EVERYONE,
    ChatPolicy.PUBLIC: settings_pb2.CHAT_POLICY_PUBLIC,
    ChatPolicy.HOSTS: settings_pb2.CHAT_POLICY_HOSTS,
    ChatPolicy.OFF: settings_pb2.CHAT_POLICY_OFF,
}

HOST_LEAVE_POLICIES = {
    HOST_LEAVES_HAND_OVER: settings_pb2.HOST_LEAVE_POLICY_HAND_OVER,
    HOST_LEAVES_END: settings_pb2.HOST_LEAVE_POLICY_END,
}
_HOST_LEAVE_POLICIES = {value: name for name, value in HOST_LEAVE_POLICIES.items()}
_IDENTITY = frozenset({"name", "etag"})
_CHOSEN = {proto: policy for policy, proto in CHAT_POLICIES.items()}


class SettingsServicer(settings_pb2_grpc.SettingsServiceServicer):
    """Reads and changes settings. `emotions_allowed` is the operator's policy."""

    def __init__(self, store: Store, desk: Desk, peers: Peers, *, emotions_allowed: bool) -> None:
        self._store = store
        self._desk = desk
        self._peers = peers
        self._emotions_allowed = emotions_allowed

    async def GetSettings(
        self, request: settings_pb2.GetSettingsRequest, context: Any
    ) -> settings_pb2.Settings:
        """Read a meeting's settings."""
        meeting, _ = await self._store.meeting(code_of(request.name))
        return settings_proto(meeting)

    async def UpdateSettings(
        self, request: settings_pb2.UpdateSettingsRequest, context: Any
    ) -> settings_pb2.Settings:
        """Change a meeting's settings."""
        code = code_of(request.settings.name)
        async with self._desk.opened(code, "SettingsService.UpdateSettings") as opened:
            gathering = opened.gathering
            before = gathering.meeting
            before.check_open(request.settings.etag)
            is_host = gathering.standing(caller()) is Standing.HOST
            if "end_to_end_encrypted" in _paths(request) and not is_host:
                raise NotHost(meeting=before.name)
            changed = gathering.meeting = await self._changed(opened, request)
            opened.transaction.audit(
                audit.switched(
                    gathering.now, caller(), changed.name, before.settings, changed.settings
                )
            )
        shown = settings_proto(changed)
        if changed is not before:
            await self._peers.settings_changed(changed.name, shown)
        return shown

    async def _changed(
        self, opened: Opened, request: settings_pb2.UpdateSettingsRequest
    ) -> Meeting:
        meeting, wanted, paths = opened.gathering.meeting, request.settings, _paths(request)
        encrypted = meeting.end_to_end_encrypted
        if "end_to_end_encrypted" in paths:
            encrypted = wanted.end_to_end_encrypted
        if encrypted and any(getattr(wanted, path) for path in paths & set(SWITCHES)):
            raise MeetingEncrypted(meeting=meeting.name)
        settings = meeting.settings.changed(
            _values(wanted, paths & STORED), emotions_allowed=self._emotions_allowed
        )
        joined = await opened.transaction.has_joined()
        now = opened.gathering.now
        return meeting.configured(now, settings, encrypted=encrypted, joined=joined)


def settings_proto(meeting: Meeting) -> settings_pb2.Settings:
    """Show a meeting's settings."""
    kept = meeting.settings
    shown = settings_pb2.Settings(
        name=f"{meeting.name}/settings",
        etag=meeting.etag,
        lobby=kept.lobby,
        mute_on_entry=kept.mute_on_entry,
        screen_sharing_allowed=kept.screen_sharing_allowed,
        host_leave_policy=HOST_LEAVE_POLICIES[kept.host_leave_policy],
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
        elif path == "screen_sharing_allowed":
            values[path] = value or not wanted.HasField("screen_sharing_allowed")
        elif path == "host_leave_policy":
            values[path] = _HOST_LEAVE_POLICIES.get(value, HOST_LEAVES_HAND_OVER)
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
