"""SignInService: ways in without a password of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from parley.user.v1 import sign_in_pb2, sign_in_pb2_grpc, user_pb2

from chassis.clock import Clock
from services.user.guests import GuestsNotAllowed, new_guest
from services.user.neighbours import Neighbours
from services.user.tokens import AccessTokens


class SignInServicer(sign_in_pb2_grpc.SignInServiceServicer):
    """Lets guests in; `guest_lifetime` is how long one may stay."""

    def __init__(
        self,
        neighbours: Neighbours,
        tokens: AccessTokens,
        clock: Clock,
        guest_lifetime: timedelta,
    ) -> None:
        self._neighbours = neighbours
        self._tokens = tokens
        self._clock = clock
        self._guest_lifetime = guest_lifetime

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
