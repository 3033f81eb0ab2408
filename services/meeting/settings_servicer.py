"""SettingsService: a meeting's settings, as far as they are built.

Only `end_to_end_encrypted` can be changed; it is a column of the meeting. What nobody has built yet is shown with its
default and refused when it is to be changed: a setting that is stored and does nothing would be a lie.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from parley.meeting.v1 import settings_pb2, settings_pb2_grpc

from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument, Unimplemented
from services.meeting.domain import Meeting, MeetingEncrypted
from services.meeting.store import Store

BUILT = frozenset({"end_to_end_encrypted"})
LISTENING = frozenset({"captions", "transcript", "summary", "emotions"})
"""What needs a server that hears or sees."""
KEPT_SECONDS = 30 * 86_400
"""How long chat and transcripts are kept by default."""

_IDENTITY = frozenset({"name", "etag"})


class SettingsServicer(settings_pb2_grpc.SettingsServiceServicer):
    """Reads and changes settings."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

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
        caller, wanted = UUID(user_principal().user_id), request.settings
        async with self._store.locked_meeting(_code(wanted.name)) as transaction:
            meeting = transaction.meeting
            meeting.check_configurable(caller, wanted.etag)
            paths = _paths(request)
            encrypted = meeting.end_to_end_encrypted
            if "end_to_end_encrypted" in paths:
                encrypted = wanted.end_to_end_encrypted
            if encrypted and any(getattr(wanted, path) for path in paths & LISTENING):
                raise MeetingEncrypted(meeting=meeting.name)
            if unbuilt := sorted(paths - BUILT):
                raise Unimplemented(text=f"This server does not have {', '.join(unbuilt)} yet.")
            joined = await transaction.has_joined()
            changed = meeting.encrypted(self._clock.now(), encrypted=encrypted, joined=joined)
            transaction.change_meeting(changed)
        return settings_proto(changed)


def settings_proto(meeting: Meeting) -> settings_pb2.Settings:
    """Show a meeting's settings: what is built, and the documented defaults of the rest."""
    shown = settings_pb2.Settings(
        name=f"{meeting.name}/settings",
        etag=meeting.etag,
        screen_sharing_allowed=True,
        host_leave_policy=settings_pb2.HOST_LEAVE_POLICY_HAND_OVER,
        chat_policy=settings_pb2.CHAT_POLICY_EVERYONE,
        end_to_end_encrypted=meeting.end_to_end_encrypted,
    )
    shown.chat_retention.seconds = shown.transcript_retention.seconds = KEPT_SECONDS
    return shown


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
