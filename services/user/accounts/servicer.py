"""AccountService: people's pictures, a copy of everything, and the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from parley.user.v1 import account_pb2, account_pb2_grpc

from chassis.auth import user_principal
from chassis.clock import Clock
from services.user.accounts.avatar_store import AvatarStore
from services.user.accounts.avatars import CONTENT_TYPE, Portraits
from services.user.accounts.erasure import Erasure
from services.user.accounts.export import Exporter
from services.user.accounts.store import AccountStore
from services.user.audit import did
from services.user.credentials.guard import Guard
from services.user.credentials.passwords import Passwords
from services.user.domain import NotYours, WrongCredentials

ME = "users/me"
ARCHIVE = (("content-disposition", 'attachment; filename="parley-account.zip"'),)


class AccountServicer(account_pb2_grpc.AccountServiceServicer):
    """Looks after the caller's own account."""

    def __init__(
        self,
        accounts: AccountStore,
        avatars: AvatarStore,
        portraits: Portraits,
        exporter: Exporter,
        erasure: Erasure,
        passwords: Passwords,
        guard: Guard,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._avatars = avatars
        self._portraits = portraits
        self._exporter = exporter
        self._erasure = erasure
        self._passwords = passwords
        self._guard = guard
        self._clock = clock

    async def SetAvatar(
        self, request: account_pb2.SetAvatarRequest, context: Any
    ) -> account_pb2.SetAvatarResponse:
        """Set the caller's picture."""
        user_id = _own(request.name)
        picture = await self._portraits.make(request.image.data)
        await self._avatars.put(user_id, picture, self._clock.now())
        return account_pb2.SetAvatarResponse()

    async def GetAvatar(self, request: account_pb2.GetAvatarRequest, context: Any) -> HttpBody:
        """Read a user's picture."""
        caller = user_principal().name
        name = caller if request.name == ME else request.name
        picture = await self._avatars.get(UUID(name.removeprefix("users/")))
        return HttpBody(content_type=CONTENT_TYPE, data=picture)

    async def DeleteAvatar(
        self, request: account_pb2.DeleteAvatarRequest, context: Any
    ) -> account_pb2.DeleteAvatarResponse:
        """Remove the caller's picture."""
        await self._avatars.remove(_own(request.name))
        return account_pb2.DeleteAvatarResponse()

    async def ExportAccount(
        self, request: account_pb2.ExportAccountRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        """Give the caller a copy of everything."""
        pieces = self._exporter.archive(_own(request.name))
        await context.send_initial_metadata(ARCHIVE)
        async for piece in pieces:
            yield HttpBody(content_type="application/zip", data=piece)

    async def DeleteAccount(
        self, request: account_pb2.DeleteAccountRequest, context: Any
    ) -> account_pb2.DeleteAccountResponse:
        """Delete the caller's account; what it has elsewhere follows."""
        user_id = _own(request.name)
        async with self._guard.own_password(user_id):
            kept = await self._accounts.password_hash(user_id)
            if not await self._passwords.matches(request.password, kept):
                raise WrongCredentials
        name, now = f"users/{user_id}", self._clock.now()
        await self._accounts.delete(user_id, did(name, "user.delete", name, now))
        self._erasure.wake()
        return account_pb2.DeleteAccountResponse()


def _own(name: str) -> UUID:
    """Say whose account it is, if it is the caller's. Raises NotYours."""
    caller = user_principal()
    if name not in (ME, caller.name):
        raise NotYours
    return UUID(caller.user_id)


__all__ = ["AccountServicer"]
