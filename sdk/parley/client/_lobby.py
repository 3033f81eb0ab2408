"""Waiting in a lobby until a host has decided, over a stream that is opened again where it breaks off."""

from __future__ import annotations

import asyncio
import time

import grpc
from parley.client._errors import ParleyError
from parley.client._retries import Retries
from parley.client._services import Services
from parley.meeting.v1 import meeting_pb2, participant_pb2

LOBBY_SECONDS = 3_600.0
"""How long to wait for a decision."""
AWAY_SECONDS = 60.0
"""For so long the server keeps the place of somebody who is not seen waiting."""
BROKEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
"""What a stream ends with that breaks off: behind a gateway the death of a process is a reset, which is INTERNAL."""
BACKOFF = Retries(first_delay=0.2, longest_delay=5.0)


async def let_in(services: Services, participant: str) -> meeting_pb2.JoinMeetingResponse:
    """Wait as `participant` until a host lets them in. Raises ParleyError: PERMISSION_DENIED when they are turned away."""
    request = participant_pb2.WaitForAdmissionRequest(name=participant)
    seen_at = time.monotonic()
    due, failures = seen_at + LOBBY_SECONDS, 0
    while True:
        try:
            left = due - time.monotonic()
            async for news in services.participants.WaitForAdmission(request, timeout=left):
                seen_at, failures = time.monotonic(), 0
                if news.admission.ticket:
                    return news.admission
            raise ParleyError(grpc.StatusCode.PERMISSION_DENIED, "A host did not let you in.")
        except ParleyError as error:
            failures += 1
            pause = max(BACKOFF.backoff(failures), error.retry_after or 0.0)
            is_lost = time.monotonic() + pause - seen_at > AWAY_SECONDS
            if error.code not in BROKEN or is_lost:
                raise
        await asyncio.sleep(pause)


__all__ = ["let_in"]
