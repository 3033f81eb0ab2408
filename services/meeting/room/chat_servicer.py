"""ChatService: proto to domain and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import chat_pb2, chat_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting.audit import AuditEvent
from services.meeting.domain import Participant, ParticipantNotFound
from services.meeting.peers import Peers
from services.meeting.permissions import check, known, may
from services.meeting.room.chat import (
    ChatMessage,
    ChatMessageNotFound,
    MediaNotFound,
    check_allowed,
    check_reply,
    check_room,
    clean,
)
from services.meeting.room.chat_store import Chat, ChatStore
from services.meeting.room.events import RoomEvent, tell_room
from services.meeting.room.herald import Herald
from services.meeting.store import MeetingTransaction, Store

DEFAULT_MESSAGES = 50


class ChatServicer(chat_pb2_grpc.ChatServiceServicer):
    """Writes and reads chat."""

    def __init__(
        self, store: Store, chats: ChatStore, herald: Herald, peers: Peers, clock: Clock
    ) -> None:
        self._store = store
        self._chats = chats
        self._herald = herald
        self._peers = peers
        self._clock = clock

    async def CreateChatMessage(
        self, request: chat_pb2.CreateChatMessageRequest, context: Any
    ) -> chat_pb2.ChatMessage:
        """Write a message."""
        caller, wanted = _caller(), request.chat_message
        request_id = UUID(request.request_id) if request.request_id else None
        text = clean(wanted.text)
        if not text and not wanted.media:
            raise InvalidArgument(fields={"chat_message": "it has neither text nor media"})
        for media in wanted.media:
            owner = await self._peers.owner_of(media, context.invocation_metadata())
            if owner != f"users/{caller}":
                raise MediaNotFound(media=media)
        async with self._store.locked_meeting(_code(request.parent)) as transaction:
            chat = Chat(transaction)
            if request_id and (before := await chat.written_before(caller, request_id)):
                return chat_message_proto(before)
            method = "ChatService.CreateChatMessage"
            sender, standing = await transaction.actor(caller, method)
            private = bool(wanted.recipient)
            check_allowed(transaction.meeting, sender, standing, private=private)
            message = await self._written(transaction, chat, sender, wanted, text)
            chat.add(message, request_id)
            await self._tell(transaction, chat, message)
        self._herald.wake(transaction.meeting.id)
        return chat_message_proto(message)

    async def ListChatMessages(
        self, request: chat_pb2.ListChatMessagesRequest, context: Any
    ) -> chat_pb2.ListChatMessagesResponse:
        """List what the caller may see, newest first."""
        caller = _caller()
        method = "ChatService.ListChatMessages"
        meeting, _ = await self._store.permitted(_code(request.parent), caller, method)
        size = request.page_size or DEFAULT_MESSAGES
        below = paging.position(request.page_token)
        found = await self._chats.page(meeting, caller, below, size + 1)
        token = paging.encode((str(found[size - 1].position),)) if len(found) > size else ""
        shown = map(chat_message_proto, found[:size])
        return chat_pb2.ListChatMessagesResponse(chat_messages=shown, next_page_token=token)

    async def EditChatMessage(
        self, request: chat_pb2.EditChatMessageRequest, context: Any
    ) -> chat_pb2.ChatMessage:
        """Change the text of the caller's own message."""
        caller = _caller()
        if not (text := clean(request.text)):
            raise InvalidArgument(fields={"text": "it is empty"})
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            chat, meeting = Chat(transaction), transaction.meeting
            standing = await transaction.standing(caller)
            check(standing, "ChatService.EditChatMessage", meeting)
            before = await _message(chat, request.name, caller)
            after = before.edited(caller, text, self._clock.now())
            writer = known(meeting, await transaction.latest_of(caller))
            check_allowed(meeting, writer, standing, private=before.is_private)
            await self._change(transaction, chat, before, after)
        self._herald.wake(transaction.meeting.id)
        return chat_message_proto(after)

    async def DeleteChatMessage(
        self, request: chat_pb2.DeleteChatMessageRequest, context: Any
    ) -> chat_pb2.DeleteChatMessageResponse:
        """Delete a message."""
        caller = _caller()
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            chat, meeting = Chat(transaction), transaction.meeting
            standing = await transaction.standing(caller)
            check(standing, "ChatService.DeleteChatMessage", meeting)
            before = await _message(chat, request.name, caller)
            moderates = may(standing, "ChatService.DeleteChatMessage/others")
            now = self._clock.now()
            after = before.deleted(caller, now, moderates=moderates)
            if after is not before and caller != before.sender_user_id:
                transaction.audit(
                    [AuditEvent(now, f"users/{caller}", "chat_message.delete", before.name)]
                )
            await self._change(transaction, chat, before, after)
        self._herald.wake(transaction.meeting.id)
        return chat_pb2.DeleteChatMessageResponse()

    async def _written(
        self,
        transaction: MeetingTransaction,
        chat: Chat,
        sender: Participant,
        wanted: chat_pb2.ChatMessage,
        text: str,
    ) -> ChatMessage:
        """Make a message as the rules have it."""
        now, count = self._clock.now(), await chat.count()
        check_room(count, await chat.recent(sender.user_id), now)
        recipient_id = _participant_id(transaction, wanted.recipient)
        message = ChatMessage(
            id=uuid4(),
            meeting_code=sender.meeting_code,
            sender_id=sender.id,
            sender_user_id=sender.user_id,
            sender_display_name=sender.display_name,
            text=text,
            create_time=now,
            recipient_id=recipient_id,
            recipient_user_id=recipient_id and await chat.recipient(recipient_id),
            reply_to=_message_id(wanted.reply_to, transaction) if wanted.reply_to else None,
            media=tuple(wanted.media),
            position=count + 1,
        )
        if message.recipient_user_id == message.sender_user_id:
            raise InvalidArgument(fields={"chat_message.recipient": "it is the sender"})
        if message.reply_to is not None:
            check_reply(message, await chat.message(message.reply_to))
        return message

    async def _change(
        self,
        transaction: MeetingTransaction,
        chat: Chat,
        before: ChatMessage,
        after: ChatMessage,
    ) -> None:
        if after is not before:
            await chat.change(after)
            await self._tell(transaction, chat, after)

    async def _tell(
        self, transaction: MeetingTransaction, chat: Chat, message: ChatMessage
    ) -> None:
        changed = signaling_pb2.ChatChanged(chat_message=chat_message_proto(message))
        payload = signaling_pb2.ServerMessage(chat_changed=changed).SerializeToString()
        events = [RoomEvent(payload, to) for to in await chat.addressees(message)]
        tell_room(transaction, events, self._clock.now())


class SharingServicer(chat_pb2_grpc.SharingServiceServicer):
    """Tells the media library with whom files are shared."""

    def __init__(self, store: Store, chats: ChatStore) -> None:
        self._store = store
        self._chats = chats

    async def CheckSharing(
        self, request: chat_pb2.CheckSharingRequest, context: Any
    ) -> chat_pb2.CheckSharingResponse:
        """Tell whether a file is in a message that somebody may read."""
        try:
            owner, user = (UUID(name[len("users/") :]) for name in (request.owner, request.user))
        except ValueError:
            return chat_pb2.CheckSharingResponse()
        for meeting in await self._chats.shared_in(request.media, owner, user):
            if may(await self._store.standing(meeting, user), "ChatService.ListChatMessages"):
                return chat_pb2.CheckSharingResponse(shared=True)
        return chat_pb2.CheckSharingResponse()


def chat_message_proto(message: ChatMessage) -> chat_pb2.ChatMessage:
    """Show a message."""
    meeting = f"meetings/{message.meeting_code}"
    shown = chat_pb2.ChatMessage(
        name=message.name,
        sender=f"{meeting}/participants/{message.sender_id}",
        sender_display_name=message.sender_display_name,
        text=message.text,
        media=message.media,
    )
    if message.recipient_id is not None:
        shown.recipient = f"{meeting}/participants/{message.recipient_id}"
    if message.reply_to is not None:
        shown.reply_to = f"{meeting}/chatMessages/{message.reply_to}"
    shown.create_time.FromDatetime(message.create_time)
    if message.edit_time is not None:
        shown.edit_time.FromDatetime(message.edit_time)
    if message.delete_time is not None:
        shown.delete_time.FromDatetime(message.delete_time)
    return shown


async def _message(chat: Chat, name: str, caller: UUID) -> ChatMessage:
    """Read a message that the caller may see. Raises ChatMessageNotFound."""
    message = await chat.message(_uuid(name))
    if not message.is_seen_by(caller):
        raise ChatMessageNotFound(chat_message=name)
    return message


def _message_id(name: str, transaction: MeetingTransaction) -> UUID:
    if not name.startswith(f"{transaction.meeting.name}/chatMessages/"):
        raise ChatMessageNotFound(chat_message=name)
    return _uuid(name)


def _participant_id(transaction: MeetingTransaction, name: str) -> UUID | None:
    """Read a participant of this meeting's name; None of an empty one. Raises ParticipantNotFound."""
    if not name:
        return None
    prefix = f"{transaction.meeting.name}/participants/"
    try:
        if name.startswith(prefix):
            return UUID(name.removeprefix(prefix))
    except ValueError:
        pass
    raise ParticipantNotFound(participant=name)


def _uuid(name: str) -> UUID:
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise ChatMessageNotFound(chat_message=name) from None


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _code(name: str) -> str:
    """Cut the code out of `meetings/{code}` and what may follow, which the contract has seen to."""
    return name.split("/")[1]


__all__ = ["ChatServicer", "SharingServicer", "chat_message_proto"]
