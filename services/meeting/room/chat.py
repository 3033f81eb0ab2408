"""The rules of chat: who may write, to whom, how fast, and who may change what was written. Pure.

A private message is for two accounts alone, whichever of their participants they come with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from services.meeting.domain import Meeting, Participant
from services.meeting.permissions import is_granted, may
from services.meeting.roles import Standing
from services.meeting.settings import ChatPolicy

MAX_MESSAGES = 50_000
"""Of one meeting, deleted ones too."""
BURST = 20
BURST_TIME = timedelta(seconds=10)
"""One account writes at most BURST messages in any BURST_TIME, to one meeting."""


class ChatMessageNotFound(NotFound):
    """There is no such message, or it is not for the caller to see."""

    reason = "CHAT_MESSAGE_NOT_FOUND"
    message = "There is no such message."


class ChatNotAllowed(PermissionDenied):
    """The meeting's chat policy, or the caller's grants, do not let the caller write this. Ask the host."""

    reason = "CHAT_NOT_ALLOWED"
    message = "You may not write this here."


class ChatMessageDeleted(FailedPrecondition):
    """The message is deleted; its text is gone for good. Write another."""

    reason = "CHAT_MESSAGE_DELETED"
    message = "The message is deleted."


class NotYours(PermissionDenied):
    """Somebody else wrote it. Only they may change it; hosts may delete it."""

    reason = "NOT_YOURS"
    message = "Somebody else wrote this."


class MediaNotFound(NotFound):
    """There is no such file, or it is not the sender's own."""

    reason = "MEDIA_NOT_FOUND"
    message = "You have no such file."


class ChatTooFast(ResourceExhausted):
    """The caller has written 20 messages to this meeting in 10 seconds. Wait as long as RetryInfo says."""

    reason = "CHAT_TOO_FAST"
    message = "You write faster than anybody reads: wait a little."


class ChatFull(ResourceExhausted):
    """The meeting's chat has as many messages as are kept of one. Go on in another meeting."""

    reason = "CHAT_FULL"
    message = "The chat of this meeting is full."


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message. `recipient_id` is the only participant it is for, `recipient_user_id` their account; None: all."""

    id: UUID
    meeting_code: str
    sender_id: UUID
    sender_user_id: UUID
    sender_display_name: str
    text: str
    create_time: datetime
    recipient_id: UUID | None = None
    recipient_user_id: UUID | None = None
    reply_to: UUID | None = None
    media: tuple[str, ...] = ()
    edit_time: datetime | None = None
    delete_time: datetime | None = None
    position: int = 0

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/chatMessages/{id}`."""
        return f"meetings/{self.meeting_code}/chatMessages/{self.id}"

    @property
    def is_private(self) -> bool:
        """Tell whether it is for two alone."""
        return self.recipient_user_id is not None

    @property
    def readers(self) -> frozenset[UUID]:
        """The accounts that alone may see it; empty: everybody may."""
        if self.recipient_user_id is None:
            return frozenset()
        return frozenset({self.sender_user_id, self.recipient_user_id})

    def is_seen_by(self, user_id: UUID) -> bool:
        """Tell whether an account may see it."""
        return not self.is_private or user_id in self.readers

    def edited(self, user_id: UUID, text: str, now: datetime) -> ChatMessage:
        """Change its text; the same text changes nothing. Raises NotYours, ChatMessageDeleted."""
        if user_id != self.sender_user_id:
            raise NotYours(chat_message=self.name)
        if self.delete_time is not None:
            raise ChatMessageDeleted(chat_message=self.name)
        if text == self.text:
            return self
        return replace(self, text=text, edit_time=now)

    def deleted(self, user_id: UUID, now: datetime, *, moderates: bool) -> ChatMessage:
        """Take away what it says; twice changes nothing. Raises NotYours."""
        if user_id != self.sender_user_id and not moderates:
            raise NotYours(chat_message=self.name)
        if self.delete_time is not None:
            return self
        return replace(self, text="", media=(), delete_time=now)


def check_allowed(
    meeting: Meeting, writer: Participant, standing: Standing, *, private: bool
) -> None:
    """See that the meeting's policy and the writer's grants let them write. Raises ChatNotAllowed."""
    policy = meeting.settings.chat_policy
    allowed = is_granted(writer, "ChatService.CreateChatMessage", meeting)
    if policy is ChatPolicy.OFF:
        allowed = False
    if policy is ChatPolicy.HOSTS:
        allowed = allowed and may(standing, "ChatService.CreateChatMessage/restricted")
    if policy is ChatPolicy.PUBLIC and private:
        allowed = False
    if not allowed:
        raise ChatNotAllowed(policy=policy.name)


def check_room(count: int, recent: Sequence[datetime], now: datetime) -> None:
    """See that there is room for another, after `count`. `recent` are times of the sender's last BURST, newest first.

    Raises ChatFull, ChatTooFast.
    """
    if count >= MAX_MESSAGES:
        raise ChatFull
    if len(recent) >= BURST and (wait := recent[BURST - 1] + BURST_TIME - now) > timedelta(0):
        raise ChatTooFast(retry_after=wait.total_seconds())


def check_reply(message: ChatMessage, original: ChatMessage) -> None:
    """See that whoever reads a reply may see what it answers. Raises InvalidArgument, ChatMessageNotFound."""
    if not original.is_seen_by(message.sender_user_id):
        raise ChatMessageNotFound(chat_message=original.name)
    if original.is_private and message.readers != original.readers:
        fields = {"chat_message.reply_to": "it is private: answer it in private"}
        raise InvalidArgument(fields=fields)


def clean(text: str) -> str:
    """Take out what no text has: control characters but tabs and newlines, and space around it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in lines if each >= " " or each in "\t\n").strip()


__all__ = [
    "BURST",
    "BURST_TIME",
    "MAX_MESSAGES",
    "ChatFull",
    "ChatMessage",
    "ChatMessageDeleted",
    "ChatMessageNotFound",
    "ChatNotAllowed",
    "ChatTooFast",
    "MediaNotFound",
    "NotYours",
    "check_allowed",
    "check_reply",
    "check_room",
    "clean",
]
