"""AdminService: accounts, service accounts and signing keys; `audit_servicer` has the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from parley.user.v1 import admin_pb2, user_pb2

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from services.user.accounts.rules import Account, AccountState, Rule, ban, give, unban
from services.user.accounts.store import AccountStore, Search
from services.user.audit import AuditEvent, AuditLog, did
from services.user.audit_servicer import AuditReading
from services.user.domain import Role, User
from services.user.repeats import Repeats
from services.user.servicer import ROLES, to_proto
from services.user.sessions.tokens import AccessTokens

DEFAULT_ACCOUNTS = 20
STATES = {
    AccountState.ACTIVE: admin_pb2.ACCOUNT_STATE_ACTIVE,
    AccountState.BANNED: admin_pb2.ACCOUNT_STATE_BANNED,
    AccountState.UNVERIFIED: admin_pb2.ACCOUNT_STATE_UNVERIFIED,
}
_STATES = {number: state for state, number in STATES.items()}
_ROLES = {number: role for role, number in ROLES.items()}


class AdminServicer(AuditReading):
    """What admins do. `wake` has it seen to that what a ban ends has ended everywhere.

    `must_verify`: people sign in with a proven address alone.
    """

    def __init__(
        self,
        log: AuditLog,
        accounts: AccountStore,
        tokens: AccessTokens,
        answers: Repeats,
        clock: Clock,
        wake: Callable[[], None],
        *,
        must_verify: bool = False,
    ) -> None:
        super().__init__(log)
        self._accounts = accounts
        self._tokens = tokens
        self._answers = answers
        self._wake = wake
        self._clock = clock
        self._must_verify = must_verify

    async def ListUsers(
        self, request: admin_pb2.ListUsersRequest, context: Any
    ) -> admin_pb2.ListUsersResponse:
        """List or search accounts, newest first."""
        size = request.page_size or DEFAULT_ACCOUNTS
        search = Search(request.query.strip(), _STATES.get(request.state), self._must_verify)
        before = paging.moment_and_id(request.page_token)
        found = await self._accounts.page(search, before, size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1].user
            token = paging.encode((last.create_time.isoformat(), str(last.id)))
        shown = [self._shown(account) for account in found[:size]]
        return admin_pb2.ListUsersResponse(accounts=shown, next_page_token=token)

    async def BanUser(
        self, request: admin_pb2.BanUserRequest, context: Any
    ) -> admin_pb2.UserAccount:
        """Ban an account and end its sessions."""
        event = self._event("user.ban", request.name, reason=request.reason)
        rule = ban(request.reason, self._clock.now())
        return await self._changed(request, rule, event)

    async def UnbanUser(
        self, request: admin_pb2.UnbanUserRequest, context: Any
    ) -> admin_pb2.UserAccount:
        """Let a banned account sign in again."""
        event = self._event("user.unban", request.name)
        return await self._changed(request, unban, event)

    async def SetUserRole(
        self, request: admin_pb2.SetUserRoleRequest, context: Any
    ) -> admin_pb2.UserAccount:
        """Give an account another role."""
        role = _ROLES[request.role]
        event = self._event("user.set_role", request.name, role=role.value)
        return await self._changed(request, give(role, self._clock.now()), event)

    async def CreateServiceAccount(
        self, request: admin_pb2.CreateServiceAccountRequest, context: Any
    ) -> admin_pb2.UserAccount:
        """Make an account for a program."""
        now = self._clock.now()
        user = User(
            id=uuid4(),
            username=request.username.lower(),
            email="",
            display_name=request.display_name.strip() or request.username,
            role=Role.USER,
            create_time=now,
            update_time=now,
        )
        event = self._event("service_account.create", f"users/{user.id}", username=user.username)

        async def add() -> admin_pb2.UserAccount:
            return self._shown(await self._accounts.add_service_account(user, event))

        return await self._answers.answer(request, admin_pb2.UserAccount, add)

    async def RotateSigningKey(
        self, request: admin_pb2.RotateSigningKeyRequest, context: Any
    ) -> admin_pb2.RotateSigningKeyResponse:
        """Publish a new key, which signs when everybody has it."""
        kind = admin_pb2.RotateSigningKeyResponse

        async def rotate() -> admin_pb2.RotateSigningKeyResponse:
            key = await self._tokens.rotate(user_principal().name)
            return kind(key=user_pb2.JsonWebKey(**key))

        return await self._answers.answer(request, kind, rotate)

    async def _changed(self, request: Any, rule: Rule, event: AuditEvent) -> admin_pb2.UserAccount:
        async def change() -> admin_pb2.UserAccount:
            return self._shown(await self._accounts.change(_user_id(request.name), rule, event))

        changed = await self._answers.answer(request, admin_pb2.UserAccount, change)
        self._wake()
        return changed

    def _event(self, action: str, subject: str, **details: str) -> AuditEvent:
        kept = {name: value for name, value in details.items() if value}
        return did(user_principal().name, action, subject, self._clock.now(), kept)

    def _shown(self, account: Account) -> admin_pb2.UserAccount:
        shown = admin_pb2.UserAccount(
            user=to_proto(account.user, whole=True),
            state=STATES[account.state(must_verify=self._must_verify)],
            ban_reason=account.ban_reason,
            service_account=account.service_account,
            email_verified=account.email_verified,
            totp_enabled=account.totp_enabled,
        )
        _set(shown.last_sign_in_time, account.last_sign_in_time)
        return shown


def _set(stamp: Any, time: datetime | None) -> None:
    if time is not None:
        stamp.FromDatetime(time)


def _user_id(name: str) -> UUID:
    return UUID(name.removeprefix("users/"))


__all__ = ["AdminServicer"]
