"""The live conversations of this process: their sessions' leases are renewed here, and what is wrong with one ends it."""

from __future__ import annotations

import asyncio

from chassis import logs
from chassis.errors import DomainError
from services.signaling.conversation import REDIS_AWAY, Conversation
from services.signaling.domain import Draining, SessionExpired, StateLost
from services.signaling.sessions import Held, Sessions

RENEWED_AT_ONCE = 100
LOOK_SECONDS = 1.0

log = logs.get("signaling.keeper")


class Keeper:
    """Holds what is live; `run` keeps it so."""

    def __init__(self, sessions: Sessions, max_seconds: float) -> None:
        self._sessions = sessions
        self._max_seconds = max_seconds
        self._conversations: set[Conversation] = set()

    def add(self, conversation: Conversation) -> None:
        """Keep a conversation from now on."""
        self._conversations.add(conversation)

    def discard(self, conversation: Conversation) -> None:
        """It is over."""
        self._conversations.discard(conversation)

    async def run(self) -> None:
        """Renew leases and cut what is at fault, until cancelled. Redis may be away for as long as leases last, and longer."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_leases())
            group.create_task(self._keep_looking())

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._sessions.renew_seconds)
            live = tuple(self._conversations)
            for start in range(0, len(live), RENEWED_AT_ONCE):
                try:
                    await self._renew(live[start : start + RENEWED_AT_ONCE])
                except REDIS_AWAY as error:
                    log.warning("leases not renewed", error=type(error).__name__)
                    for conversation in live:  # pings that come by `Send` come by Redis
                        conversation.excuse()

    def send_all_on(self) -> None:
        """Cut every connection so that its client resumes elsewhere."""
        for conversation in tuple(self._conversations):
            conversation.cut(Draining(retry_after=0.1))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for conversation in tuple(self._conversations):
                if (fault := conversation.fault(self._max_seconds)) is not None:
                    conversation.cut(fault)

    async def _renew(self, conversations: tuple[Conversation, ...]) -> None:
        held = await self._sessions.renew(
            [(each.session, each.connection) for each in conversations]
        )
        for conversation, state in zip(conversations, held, strict=True):
            if (reason := _REASONS.get(state)) is not None:
                conversation.cut(reason())


def _over() -> DomainError:
    return SessionExpired()


def _lapsed() -> DomainError:
    return StateLost(retry_after=0.1)


_REASONS = {Held.NO: _over, Held.LAPSED: _lapsed}

__all__ = ["Keeper"]
