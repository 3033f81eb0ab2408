"""AuthService and UserService: proto to domain and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

from parley.user.v1 import user_pb2, user_pb2_grpc

from chassis.auth import user_principal
from chassis.calls import check
from chassis.clock import Clock
from chassis.errors import InvalidArgument
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
from services.user.origin import origin
from services.user.passwords import Passwords
from services.user.sign_in import SignIn
from services.user.store import Store
from services.user.tokens import AccessTokens

ME = "users/me"
CHANGEABLE = frozenset({"display_name", "email"})

ROLES = {
    Role.USER: user_pb2.ROLE_USER,
    Role.MODERATOR: user_pb2.ROLE_MODERATOR,
    Role.ADMIN: user_pb2.ROLE_ADMIN,
}


class AuthServicer(user_pb2_grpc.AuthServiceServicer):
    """Signs people up, in and out."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        tokens: AccessTokens,
        sign_in: SignIn,
        clock: Clock,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._sign_in = sign_in
        self._clock = clock

    async def Register(
        self, request: user_pb2.RegisterRequest, context: Any
    ) -> user_pb2.RegisterResponse:
        """Create an account and sign it in."""
        now = self._clock.now()
        username = request.username.lower()
        user = User(
            id=uuid4(),
            username=username,
            email=request.email.lower(),
            display_name=request.display_name.strip() or request.username,
            role=Role.USER,
            create_time=now,
            update_time=now,
        )
        await self._store.add_user(user, await self._passwords.hash(request.password))
        tokens = await self._sign_in.begin(user, origin(context))
        return user_pb2.RegisterResponse(user=to_proto(user, whole=True), **asdict(tokens))

    async def Login(self, request: user_pb2.LoginRequest, context: Any) -> user_pb2.LoginResponse:
        """Sign in with a password."""
        found = await self._store.credentials(request.username_or_email)
        kept = found[1] if found else None
        if not await self._passwords.matches(request.password, kept) or found is None:
            raise WrongCredentials
        user = found[0]
        if self._passwords.is_old(found[1]):
            fresh = await self._passwords.hash(request.password)
            await self._store.change_password_hash(user.id, fresh)
        tokens = await self._sign_in.begin(user, origin(context))
        return user_pb2.LoginResponse(user=to_proto(user, whole=True), **asdict(tokens))

    async def Refresh(
        self, request: user_pb2.RefreshRequest, context: Any
    ) -> user_pb2.RefreshResponse:
        """Trade a refresh token for a new pair; one that was used before ends its session."""
        session_id, secret = parse_refresh_token(request.refresh_token)
        if (old := await self._store.session(session_id)) is None:
            raise RefreshTokenInvalid
        try:
            new, fresh = old.rotate(secret, self._clock.now(), self._sign_in.lifetime)
            if not await self._store.rotate(old, new):
                raise RefreshTokenReused
        except RefreshTokenReused:
            await self._store.end_session(session_id)
            raise
        user = await self._store.user(old.user_id)
        return user_pb2.RefreshResponse(**asdict(self._sign_in.tokens(user, new, fresh)))

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


class UserServicer(user_pb2_grpc.UserServiceServicer):
    """Reads and changes accounts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
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
        wanted = _changes(request)
        user = await self._store.user(user_id)
        changed = profile_changed(
            user,
            display_name=request.user.display_name if "display_name" in wanted else None,
            email=request.user.email if "email" in wanted else None,
            etag=request.user.etag,
            now=self._clock.now(),
        )
        await self._store.change_user(changed)
        return to_proto(changed, whole=True)


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
