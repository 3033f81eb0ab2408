"""Errors that callers see, and the one way in which they become google.rpc.Status.

    DomainError
    ├── InvalidArgument      INVALID_ARGUMENT      400   what was sent can never work
    ├── Unauthenticated      UNAUTHENTICATED       401   nobody, or nobody that we know
    ├── PermissionDenied     PERMISSION_DENIED     403   known, but not allowed
    ├── NotFound             NOT_FOUND             404   there is no such thing, or none that you may see
    ├── AlreadyExists        ALREADY_EXISTS        409   somebody made it before
    ├── Aborted              ABORTED               409   it changed meanwhile: read it again
    ├── FailedPrecondition   FAILED_PRECONDITION   400   not in the state that it is in
    ├── ResourceExhausted    RESOURCE_EXHAUSTED    429   a limit: later, or less
    ├── Unimplemented        UNIMPLEMENTED         501   not built
    ├── DeadlineExceeded     DEADLINE_EXCEEDED     504   it took longer than the caller waits
    ├── Unavailable          UNAVAILABLE           503   something that it needs is away: try again
    └── Internal             INTERNAL              500   our fault; says nothing

A service's `domain.py` declares the leaves. A leaf's docstring says when it happens and what to do about it, for
docs/errors.md, which is generated from this tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DOMAIN = "parley"
"""ErrorInfo.domain of every error that Parley makes."""

DETAILS_METADATA = "grpc-status-details-bin"


class DomainError(Exception):
    """An error for the caller: a canonical code, a reason (UPPER_SNAKE) and a text for people.

    `metadata` becomes ErrorInfo.metadata, `fields` (field path → what is wrong) BadRequest, `retry_after` (seconds)
    RetryInfo. `text` takes the place of the class's `message`.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    reason: ClassVar[str] = ""
    message: ClassVar[str] = ""

    def __init__(
        self,
        *,
        text: str = "",
        fields: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(text or self.message)
        self.fields = dict(fields or {})
        self.retry_after = retry_after
        self.metadata = metadata
        self.status: Status | None = None
        """The whole Status, where somebody else made it; else it is made of the rest."""


class InvalidArgument(DomainError):
    """A field of the request is malformed; `details` names it. Mend the request; repeating it cannot help."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"
    message = "The request is not valid."


class Unauthenticated(DomainError):
    """The call carries no token, or none that is good. Sign in, or refresh the access token, and try again."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"
    message = "Sign in first."


class PermissionDenied(DomainError):
    """The caller is known, but may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"
    message = "You may not do this."


class NotFound(DomainError):
    """There is no such thing, or none that the caller may see."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"
    message = "There is no such thing."


class AlreadyExists(DomainError):
    """Something with this name exists already."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"
    message = "It exists already."


class Aborted(DomainError):
    """The thing changed since it was read. Read it again, then decide anew."""

    code = grpc.StatusCode.ABORTED
    reason = "ABORTED"
    message = "It changed meanwhile: read it again."


class FailedPrecondition(DomainError):
    """The thing is not in a state in which this can be done."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"
    message = "This cannot be done now."


class ResourceExhausted(DomainError):
    """A limit is reached. Wait as long as RetryInfo says, or ask for less."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"
    message = "A limit is reached."


class Unimplemented(DomainError):
    """The method is part of the contract, but this server does not have it."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "NOT_IMPLEMENTED"
    message = "This server does not have this method."


class DeadlineExceeded(DomainError):
    """The answer was not ready when the caller's deadline came. The work was stopped."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
    message = "It took too long."


class Unavailable(DomainError):
    """Something that the service needs is away. Try again after RetryInfo's delay."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    message = "The service is not ready: try again."

    def __init__(
        self,
        *,
        text: str = "",
        fields: Mapping[str, str] | None = None,
        retry_after: float | None = 1.0,
        **metadata: str,
    ) -> None:
        super().__init__(text=text, fields=fields, retry_after=retry_after, **metadata)


class Internal(DomainError):
    """A fault of the server's. It is logged with the request's id; tell the operator that id."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"
    message = "Something went wrong here."


def to_status(error: DomainError) -> Status:
    """Put an error into the one form that gRPC, gRPC-Web and REST clients all get (google/rpc/status.proto)."""
    if error.status is not None:
        return error.status
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.fields:
        violations = [
            BadRequest.FieldViolation(field=field, description=text)
            for field, text in error.fields.items()
        ]
        details.append(BadRequest(field_violations=violations))
    if error.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(retry)
    number: int = error.code.value[0]
    return Status(code=number, message=str(error), details=[_packed(item) for item in details])


def trailers(error: DomainError) -> tuple[tuple[str, bytes], ...]:
    """Make the trailing metadata that carries the whole Status (gRPC's richer error model)."""
    return ((DETAILS_METADATA, to_status(error).SerializeToString()),)


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


__all__ = [
    "DETAILS_METADATA",
    "DOMAIN",
    "Aborted",
    "AlreadyExists",
    "DeadlineExceeded",
    "DomainError",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "to_status",
    "trailers",
]
