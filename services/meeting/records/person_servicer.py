"""PersonService: tells the user service what meetings keep of a person, and has them forget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from google.protobuf.struct_pb2 import Struct
from parley.meeting.v1 import person_pb2, person_pb2_grpc

from chassis.clock import Clock
from services.meeting.records.person_store import PersonStore


class PersonServicer(person_pb2_grpc.PersonServiceServicer):
    """Reads and forgets persons."""

    def __init__(self, persons: PersonStore, clock: Clock) -> None:
        self._persons = persons
        self._clock = clock

    async def ReadPerson(
        self, request: person_pb2.ReadPersonRequest, context: Any
    ) -> AsyncIterator[person_pb2.ReadPersonResponse]:
        """Read all that is kept of a person."""
        async for kind, page in self._persons.records(_user(request), request.verified_email):
            response = person_pb2.ReadPersonResponse(kind=kind)
            for record in page:
                shown = Struct()
                shown.update(record)
                response.records.append(shown)
            yield response

    async def ForgetPerson(
        self, request: person_pb2.ForgetPersonRequest, context: Any
    ) -> person_pb2.ForgetPersonResponse:
        """Forget a person."""
        await self._persons.forget(_user(request), request.verified_email, self._clock.now())
        return person_pb2.ForgetPersonResponse()


def _user(request: person_pb2.ReadPersonRequest | person_pb2.ForgetPersonRequest) -> UUID:
    return UUID(request.user.removeprefix("users/"))


__all__ = ["PersonServicer"]
