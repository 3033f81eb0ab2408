"""AuthService and UserService: proto to domain and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from parley.user.v1 import user_pb2, user_pb2_grpc

from chassis.auth import user_principal
from chassis.calls import check
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from chassis.idempotency import Answers
from services.user.credentials.guard import Guard
from services.user.credentials.passwords import Passwords
from services.user.credentials.posting import Posting
from services.user.credentials.rules import EmailNotVerified
from services.user.credentials.second_factor import SecondFactor
from services.user.credentials.store import CredentialStore
from services.user.domain import (
    NotYours,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Role,
    User,
    WrongCredentials,
    parse_refresh_token,
    profile_changed,
)
from services.user.origin import Origin, origin
from services.user.sessions.sign_in import SignIn
from services.user.sessions.tokens import AccessTokens
from services.user.store import Store

ME = "users/me"
CHANGEABLE = frozenset({"display_name", "email"})

ROLES = {
    Role.USER: user_pb2.ROLE_USER,
    Role.MODERATOR: user_pb2.ROLE_MODERATOR,
    Role.ADMIN: user_pb2.ROLE_ADMIN,
}


class AuthServicer(user_pb2_grpc.AuthServiceServicer):
    """Signs people up, in and out. With `verify_email`, in with a proven address alone."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        tokens: AccessTokens,
        sign_in: SignIn,
        guard: Guard,
        second: SecondFactor,
        posting: Posting,
        credentials: CredentialStore,
        answers: Answers,
        clock: Clock,
        *,
        verify_email: bool,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._sign_in = sign_in
        self._guard = guard
        self._second = second
        self._posting = posting
        self._credentials = credentials
        self._answers = answers
        self._clock = clock
        self._verify_email = verify_email

    async def Register(
        self, request: user_pb2.RegisterRequest, context: Any
    ) -> user_pb2.RegisterResponse:
        """Create an account and sign it in, unless its address is to be proven first."""
        kind, come_from = user_pb2.RegisterResponse, origin(context)

        async def register() -> user_pb2.RegisterResponse:
            hashed = await self._passwords.hash(request.password)
            async with self._answers.once("Register", request, kind) as turn:
                if turn.answer is not None:
                    return turn.answer
                user = _new_user(request, self._clock.now())
                await self._store.add_user(user, hashed)
                turn.answer = kind(user=to_proto(user, whole=True))
                if not self._verify_email:
                    tokens = await self._sign_in.begin(user, come_from)
                    turn.answer.MergeFrom(kind(**asdict(tokens)))
            await self._guard.know(user.id, come_from)
            if self._verify_email:
                await self._posting.send_verification(user.id, user.email, come_from.language)
            return turn.answer

        return await self._answers.repeatable("Register", request, kind, register)

    async def Login(self, request: user_pb2.LoginRequest, context: Any) -> user_pb2.LoginResponse:
        """Sign in with a password, and a code where the account wants one."""
        kind, come_from = user_pb2.LoginResponse, origin(context)

        async def log_in() -> user_pb2.LoginResponse:
            user = await self._proven(request, come_from)
            code, now = request.one_time_code, self._clock.now()
            proof = await self._second.asked(user.id, code, now)
            await self._check_address(user, come_from)
            async with self._answers.once("Login", request, kind) as turn:
                if turn.answer is not None:
                    return turn.answer
                await self._second.take(proof)
                tokens = await self._sign_in.begin(user, come_from)
                turn.answer = kind(user=to_proto(user, whole=True), **asdict(tokens))
            await self._guard.know(user.id, come_from)
            return turn.answer

        return await self._answers.repeatable("Login", request, kind, log_in)

    async def _proven(self, request: user_pb2.LoginRequest, come_from: Origin) -> User:
        """Find whose the password is. Raises WrongCredentials, TooManySignIns."""
        found = await self._store.credentials(request.username_or_email)
        user_id = found[0].id if found else None
        attempt = await self._guard.admit(request.username_or_email, user_id, come_from)
        kept = found[1] if found else None
        if not await self._passwords.matches(request.password, kept or None) or found is None:
            raise WrongCredentials
        await self._guard.right(attempt)
        if self._passwords.is_old(found[1]):
            fresh = await self._passwords.hash(request.password)
            await self._store.change_password_hash(found[0].id, fresh)
        return found[0]

    async def _check_address(self, user: User, come_from: Origin) -> None:
        """Send a link to who must prove an address first. Raises EmailNotVerified."""
        if self._verify_email and not await self._credentials.is_verified(user.id):
            await self._posting.send_verification(user.id, user.email, come_from.language)
            raise EmailNotVerified

    async def Refresh(
        self, request: user_pb2.RefreshRequest, context: Any
    ) -> user_pb2.RefreshResponse:
        """Trade a refresh token for a new pair; one that was used before ends its session."""
        kind = user_pb2.RefreshResponse
        session_id, secret = parse_refresh_token(request.refresh_token)

        async def refresh() -> user_pb2.RefreshResponse:
            if (old := await self._store.session(session_id)) is None:
                raise RefreshTokenInvalid
            new, fresh = old.rotate(secret, self._clock.now(), self._sign_in.lifetime)
            async with self._answers.once("Refresh", request, kind) as turn:
                if turn.answer is None:
                    if not await self._store.rotate(old, new):
                        raise RefreshTokenReused
                    user = await self._store.user(old.user_id)
                    turn.answer = kind(**asdict(self._sign_in.tokens(user, new, fresh)))
            return turn.answer

        try:
            return await self._answers.repeatable("Refresh", request, kind, refresh)
        except RefreshTokenReused:
            await self._store.end_session(session_id)
            raise

    async def Logout(
        self, request: user_pb2.LogoutRequest, context: Any
    ) -> user_pb2.LogoutResponse:
        """End the session of a refresh token."""
        session_id, _ = parse_refresh_token(request.refresh_token)
        await self._store.end_session(session_id)
        return user_pb2.LogoutResponse()

    async def GetJsonWebKeySet(
        self, request: user_pb2.GetJsonWebKeySetRequest, context: Any
    ) -> user_pb2.JsonWebKeySet:
        """Publish the keys that verify access tokens."""
        keys = [user_pb2.JsonWebKey(**key) for key in self._tokens.published]
        return user_pb2.JsonWebKeySet(keys=keys)


def _new_user(request: user_pb2.RegisterRequest, now: datetime) -> User:
    return User(
        id=uuid4(),
        username=request.username.lower(),
        email=request.email.lower(),
        display_name=request.display_name.strip() or request.username,
        role=Role.USER,
        create_time=now,
        update_time=now,
    )


class UserServicer(user_pb2_grpc.UserServiceServicer):
    """Reads and changes accounts."""

    def __init__(self, store: Store, answers: Answers, clock: Clock) -> None:
        self._store = store
        self._answers = answers
        self._clock = clock

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Any) -> user_pb2.User:
        """Read a user."""
        user = await self._store.user(_user_id(request.name))
        return to_proto(user, whole=str(user.id) == user_principal().user_id)

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Any) -> user_pb2.User:
        """Change the caller's own profile."""
        check(user_pb2.GetUserRequest(name=request.user.name))
        user_id = _user_id(request.user.name)
        if str(user_id) != user_principal().user_id:
            raise NotYours
        wanted, new = _changes(request), request.user

        async def change() -> user_pb2.User:
            async with self._answers.once("UpdateUser", request, user_pb2.User) as turn:
                if turn.answer is None:
                    changed = profile_changed(
                        await self._store.user(user_id),
                        display_name=new.display_name if "display_name" in wanted else None,
                        email=new.email if "email" in wanted else None,
                        etag=new.etag,
                        now=self._clock.now(),
                    )
                    await self._store.change_user(changed)
                    turn.answer = to_proto(changed, whole=True)
            return turn.answer

        return await self._answers.repeatable("UpdateUser", request, user_pb2.User, change)


def _changes(request: user_pb2.UpdateUserRequest) -> frozenset[str]:
    """Which fields to change. Raises InvalidArgument for one that can't be."""
    paths = frozenset(request.update_mask.paths)
    if not paths:
        paths = frozenset(name for name in CHANGEABLE if getattr(request.user, name))
    if unknown := paths - CHANGEABLE:
        raise InvalidArgument(
            fields={"update_mask": f"can't change {', '.join(sorted(unknown))}"},
            text=f"These fields can't be changed: {', '.join(sorted(unknown))}.",
        )
    if not paths:
        raise InvalidArgument(
            fields={"user": "nothing to change"}, text="There is nothing to change."
        )
    if "email" in paths and not request.user.email:
        raise InvalidArgument(fields={"user.email": "must not be empty"})
    return paths


def _user_id(name: str) -> UUID:
    return UUID(user_principal().user_id if name == ME else name.removeprefix("users/"))


def to_proto(user: User, *, whole: bool) -> user_pb2.User:
    """Show a user, whole to themselves and in public fields to others."""
    shown = user_pb2.User(
        name=f"users/{user.id}",
        username=user.username,
        display_name=user.display_name,
        role=ROLES[user.role],
        etag=user.etag,
    )
    shown.create_time.FromDatetime(user.create_time)
    shown.update_time.FromDatetime(user.update_time)
    if whole:
        shown.email = user.email
    return shown
