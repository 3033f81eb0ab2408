"""CredentialService: proto to domain and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from parley.user.v1 import credential_pb2 as pb
from parley.user.v1 import credential_pb2_grpc

from chassis.clock import Clock
from chassis.idempotency import Answers
from services.user.credentials.guard import Guard
from services.user.credentials.passwords import Passwords
from services.user.credentials.posting import Posting
from services.user.credentials.rules import EmailVerified, Link, LinkInvalid, Purpose
from services.user.credentials.second_factor import SecondFactor
from services.user.credentials.store import CredentialStore
from services.user.credentials.totp import uri
from services.user.domain import WrongCredentials, hash_secret
from services.user.origin import origin
from services.user.sessions.servicer import current_session, own
from services.user.sessions.store import SessionStore
from services.user.store import Store


class CredentialServicer(credential_pb2_grpc.CredentialServiceServicer):
    """Changes and recovers what an account signs in with."""

    def __init__(
        self,
        users: Store,
        store: CredentialStore,
        sessions: SessionStore,
        passwords: Passwords,
        guard: Guard,
        second: SecondFactor,
        posting: Posting,
        answers: Answers,
        clock: Clock,
    ) -> None:
        self._users = users
        self._store = store
        self._sessions = sessions
        self._passwords = passwords
        self._guard = guard
        self._second = second
        self._posting = posting
        self._answers = answers
        self._clock = clock

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, context: Any
    ) -> pb.ChangePasswordResponse:
        """Change the caller's own password and end every other session."""
        user_id = own(request.name)

        async def change() -> pb.ChangePasswordResponse:
            await self._check_password(user_id, request.current_password)
            hashed = await self._passwords.hash(request.new_password)
            async with self._answers.once(
                "ChangePassword", request, pb.ChangePasswordResponse
            ) as turn:
                if turn.answer is None:
                    await self._store.set_password(user_id, hashed)
                    await self._sessions.end_all(user_id, keep=current_session())
                    await self._note(user_id, "password.change")
                    turn.answer = pb.ChangePasswordResponse()
            return turn.answer

        return await self._answers.repeatable(
            "ChangePassword", request, pb.ChangePasswordResponse, change
        )

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, context: Any
    ) -> pb.RequestPasswordResetResponse:
        """Send a link to set a new password, if there is such an account."""
        come_from, answer = origin(context), pb.RequestPasswordResetResponse()
        await self._guard.mail(come_from)
        async with self._answers.once("RequestPasswordReset", request, type(answer)) as turn:
            is_first = turn.answer is None
            turn.answer = answer
        if is_first:
            self._posting.reset_wanted(request.email, come_from.language)
        return answer

    async def ResetPassword(
        self, request: pb.ResetPasswordRequest, context: Any
    ) -> pb.ResetPasswordResponse:
        """Set a new password by the token of a link, and end every session."""
        token_hash = hash_secret(request.token)

        async def reset() -> pb.ResetPasswordResponse:
            if not await self._store.has_link(token_hash, Purpose.RESET, self._clock.now()):
                raise LinkInvalid
            hashed = await self._passwords.hash(request.new_password)
            async with self._answers.once(
                "ResetPassword", request, pb.ResetPasswordResponse
            ) as turn:
                if turn.answer is not None:
                    return turn.answer
                link = await self._use(token_hash, Purpose.RESET)
                await self._store.set_password(link.user_id, hashed)
                await self._sessions.end_all(link.user_id)
                await self._note(link.user_id, "password.reset")
                turn.answer = pb.ResetPasswordResponse()
            await self._guard.know(link.user_id, origin(context))
            return turn.answer

        return await self._answers.repeatable(
            "ResetPassword", request, pb.ResetPasswordResponse, reset
        )

    async def RequestEmailVerification(
        self, request: pb.RequestEmailVerificationRequest, context: Any
    ) -> pb.RequestEmailVerificationResponse:
        """Send a link that proves the caller's address."""
        user_id, kind = own(request.name), pb.RequestEmailVerificationResponse
        language = origin(context).language
        mail = None
        async with self._answers.once("RequestEmailVerification", request, kind) as turn:
            if turn.answer is None:
                email = (await self._users.user(user_id)).email
                if not email or await self._store.is_verified(user_id):
                    raise EmailVerified
                mail = await self._posting.letter(user_id, email, Purpose.VERIFY, language)
                turn.answer = kind()
        if mail is not None:
            self._posting.send(mail)
        return turn.answer

    async def VerifyEmail(
        self, request: pb.VerifyEmailRequest, context: Any
    ) -> pb.VerifyEmailResponse:
        """Prove an address by the token of a link."""

        async def verify() -> pb.VerifyEmailResponse:
            async with self._answers.once("VerifyEmail", request, pb.VerifyEmailResponse) as turn:
                if turn.answer is None:
                    link = await self._use(hash_secret(request.token), Purpose.VERIFY)
                    await self._note(link.user_id, "email.verify")
                    turn.answer = pb.VerifyEmailResponse()
            return turn.answer

        return await self._answers.repeatable(
            "VerifyEmail", request, pb.VerifyEmailResponse, verify
        )

    async def BeginTotp(self, request: pb.BeginTotpRequest, context: Any) -> pb.BeginTotpResponse:
        """Make a secret for an authenticator app."""
        user_id = own(request.name)

        async def begin() -> pb.BeginTotpResponse:
            await self._check_password(user_id, request.password)
            async with self._answers.once("BeginTotp", request, pb.BeginTotpResponse) as turn:
                if turn.answer is None:
                    secret = await self._second.begin(user_id)
                    account = (await self._users.user(user_id)).username
                    turn.answer = pb.BeginTotpResponse(secret=secret, uri=uri(secret, account))
            return turn.answer

        return await self._answers.repeatable("BeginTotp", request, pb.BeginTotpResponse, begin)

    async def EnableTotp(
        self, request: pb.EnableTotpRequest, context: Any
    ) -> pb.EnableTotpResponse:
        """Turn the second factor on."""
        user_id = own(request.name)

        async def enable() -> pb.EnableTotpResponse:
            proof = await self._second.checked_first(user_id, request.code, self._clock.now())
            async with self._answers.once("EnableTotp", request, pb.EnableTotpResponse) as turn:
                if turn.answer is None:
                    await self._second.take(proof, enable=True)
                    codes = await self._second.new_recovery_codes(user_id)
                    await self._note(user_id, "totp.enable")
                    turn.answer = pb.EnableTotpResponse(recovery_codes=codes)
            return turn.answer

        return await self._answers.repeatable("EnableTotp", request, pb.EnableTotpResponse, enable)

    async def DisableTotp(
        self, request: pb.DisableTotpRequest, context: Any
    ) -> pb.DisableTotpResponse:
        """Turn the second factor off."""
        user_id = own(request.name)

        async def disable() -> pb.DisableTotpResponse:
            await self._check_password(user_id, request.password)
            proof = await self._second.checked(user_id, request.code, self._clock.now())
            async with self._answers.once("DisableTotp", request, pb.DisableTotpResponse) as turn:
                if turn.answer is None:
                    await self._second.take(proof)
                    await self._store.remove_factor(user_id)
                    await self._note(user_id, "totp.disable")
                    turn.answer = pb.DisableTotpResponse()
            return turn.answer

        return await self._answers.repeatable(
            "DisableTotp", request, pb.DisableTotpResponse, disable
        )

    async def ReplaceRecoveryCodes(
        self, request: pb.ReplaceRecoveryCodesRequest, context: Any
    ) -> pb.ReplaceRecoveryCodesResponse:
        """Replace the recovery codes."""
        user_id, kind = own(request.name), pb.ReplaceRecoveryCodesResponse

        async def replace() -> pb.ReplaceRecoveryCodesResponse:
            await self._check_password(user_id, request.password)
            proof = await self._second.checked(user_id, request.code, self._clock.now())
            async with self._answers.once("ReplaceRecoveryCodes", request, kind) as turn:
                if turn.answer is None:
                    await self._second.take(proof)
                    codes = await self._second.new_recovery_codes(user_id)
                    await self._note(user_id, "recovery_codes.replace")
                    turn.answer = kind(recovery_codes=codes)
            return turn.answer

        return await self._answers.repeatable("ReplaceRecoveryCodes", request, kind, replace)

    async def _check_password(self, user_id: UUID, password: str) -> None:
        async with self._guard.own_password(user_id):
            kept = await self._store.password_hash(user_id)
            if not await self._passwords.matches(password, kept):
                raise WrongCredentials

    async def _use(self, token_hash: bytes, purpose: Purpose) -> Link:
        """Take a link: its address, if it is the account's still, is proven by it. Raises LinkInvalid."""
        link = await self._store.use_link(token_hash, purpose, self._clock.now())
        if not await self._store.set_verified(link.user_id, link.email):
            raise LinkInvalid
        return link

    async def _note(self, user_id: UUID, action: str) -> None:
        await self._store.audit(user_id, action, self._clock.now())


__all__ = ["CredentialServicer"]
