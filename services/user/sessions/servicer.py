"""SessionService and RevocationService: proto to domain and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from parley.user.v1 import session_pb2, session_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.idempotency import Answers
from services.user.domain import NotYours, Session, SessionNotFound
from services.user.sessions.store import SessionStore

DEFAULT_SESSIONS = 20
ME = "users/me"


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Lists and ends the caller's own sessions."""

    def __init__(self, store: SessionStore, answers: Answers, clock: Clock) -> None:
        self._store = store
        self._answers = answers
        self._clock = clock

    async def ListSessions(
        self, request: session_pb2.ListSessionsRequest, context: Any
    ) -> session_pb2.ListSessionsResponse:
        """List where the caller is signed in, newest first."""
        user_id = own(request.parent)
        size = request.page_size or DEFAULT_SESSIONS
        before = paging.moment_and_id(request.page_token)
        found = await self._store.page(user_id, self._clock.now(), before, size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = paging.encode((last.create_time.isoformat(), str(last.id)))
        shown = [_shown(each) for each in found[:size]]
        return session_pb2.ListSessionsResponse(sessions=shown, next_page_token=token)

    async def EndSession(
        self, request: session_pb2.EndSessionRequest, context: Any
    ) -> session_pb2.EndSessionResponse:
        """End one session."""
        parent, _, identifier = request.name.partition("/sessions/")
        user_id = own(parent)
        await self._store.end(user_id, _session_id(identifier))
        return session_pb2.EndSessionResponse()

    async def EndAllSessions(
        self, request: session_pb2.EndAllSessionsRequest, context: Any
    ) -> session_pb2.EndAllSessionsResponse:
        """Sign the caller out everywhere, or everywhere but here."""
        user_id = own(request.parent)
        keep = current_session() if request.keep_current else None
        kind = session_pb2.EndAllSessionsResponse
        async with self._answers.once("EndAllSessions", request, kind) as turn:
            if turn.answer is None:
                turn.answer = kind(ended_count=await self._store.end_all(user_id, keep))
        return turn.answer


class RevocationServicer(session_pb2_grpc.RevocationServiceServicer):
    """Tells the other services which sessions have ended."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def ListEndedSessions(
        self, request: session_pb2.ListEndedSessionsRequest, context: Any
    ) -> session_pb2.ListEndedSessionsResponse:
        """List those that have ended since the answer before."""
        limits = {"limit": request.page_size} if request.page_size else {}
        news = await self._store.ended_since(request.page_token, **limits)
        answer = session_pb2.ListEndedSessionsResponse(next_page_token=news.token, more=news.more)
        for each in news.ended:
            ended = answer.ended_sessions.add(session_id=each.session_id)
            ended.expire_time.FromDatetime(datetime.fromtimestamp(each.expires, UTC))
        return answer


def own(name: str) -> UUID:
    """Read the id of a user who must be the caller, `users/me` or by their id. Raises NotYours."""
    caller = user_principal()
    if name not in (ME, caller.name):
        raise NotYours
    return UUID(caller.user_id)


def current_session() -> UUID | None:
    """Get the session that is asking; None for a token that belongs to none."""
    identifier = user_principal().session_id
    return UUID(identifier) if identifier else None


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SessionNotFound from None


def _shown(session: Session) -> session_pb2.Session:
    shown = session_pb2.Session(
        name=f"users/{session.user_id}/sessions/{session.id}",
        user_agent=session.user_agent,
        address=session.address,
        current=session.id == current_session(),
    )
    shown.create_time.FromDatetime(session.create_time)
    shown.refresh_time.FromDatetime(session.refresh_time)
    shown.expire_time.FromDatetime(session.expire_time)
    return shown


__all__ = ["RevocationServicer", "SessionServicer", "current_session", "own"]
