"""SignInService: ways in without a password of ours."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from parley.user.v1 import sign_in_pb2, sign_in_pb2_grpc, user_pb2

from chassis.clock import Clock
from services.user.guests import GuestsNotAllowed, new_guest
from services.user.neighbours import Neighbours
from services.user.origin import origin
from services.user.servicer import to_proto
from services.user.sessions.oidc_sign_in import OidcSignIn
from services.user.sessions.sign_in import SignIn
from services.user.sessions.tokens import AccessTokens


class SignInServicer(sign_in_pb2_grpc.SignInServiceServicer):
    """Lets people in by a provider, and guests by a link; `guest_lifetime` is how long one may stay."""

    def __init__(
        self,
        oidc: OidcSignIn,
        sign_in: SignIn,
        neighbours: Neighbours,
        tokens: AccessTokens,
        clock: Clock,
        guest_lifetime: timedelta,
    ) -> None:
        self._oidc = oidc
        self._sign_in = sign_in
        self._neighbours = neighbours
        self._tokens = tokens
        self._clock = clock
        self._guest_lifetime = guest_lifetime

    async def ListIdentityProviders(
        self, request: sign_in_pb2.ListIdentityProvidersRequest, context: Any
    ) -> sign_in_pb2.ListIdentityProvidersResponse:
        """List the providers."""
        shown = [
            sign_in_pb2.IdentityProvider(name=each.name, display_name=each.display_name)
            for each in self._oidc.providers
        ]
        return sign_in_pb2.ListIdentityProvidersResponse(identity_providers=shown)

    async def BeginSignIn(
        self, request: sign_in_pb2.BeginSignInRequest, context: Any
    ) -> sign_in_pb2.BeginSignInResponse:
        """Say where to send the browser."""
        uri, state = await self._oidc.begin(request.name)
        return sign_in_pb2.BeginSignInResponse(authorization_uri=uri, state=state)

    async def CompleteSignIn(
        self, request: sign_in_pb2.CompleteSignInRequest, context: Any
    ) -> user_pb2.LoginResponse:
        """Sign somebody in by what the provider sent back."""
        user = await self._oidc.complete(request.name, request.code, request.state)
        tokens = await self._sign_in.begin(user, origin(context))
        return user_pb2.LoginResponse(user=to_proto(user, whole=True), **asdict(tokens))

    async def CreateGuestSession(
        self, request: sign_in_pb2.CreateGuestSessionRequest, context: Any
    ) -> sign_in_pb2.CreateGuestSessionResponse:
        """Give a guest a token for one meeting, if that meeting takes guests."""
        now = self._clock.now()
        guest = new_guest(request.meeting, request.display_name, now)
        token = self._tokens.sign(guest.claims, now, self._guest_lifetime)
        if not await self._neighbours.lets_guests_in(guest.meeting, token):
            raise GuestsNotAllowed(meeting=guest.meeting)
        user = user_pb2.User(
            name=f"users/{guest.id}",
            display_name=guest.display_name,
            role=user_pb2.ROLE_GUEST,
        )
        user.create_time.FromDatetime(guest.create_time)
        return sign_in_pb2.CreateGuestSessionResponse(
            user=user,
            access_token=token,
            expires_in=int(self._guest_lifetime.total_seconds()),
        )


__all__ = ["SignInServicer"]
