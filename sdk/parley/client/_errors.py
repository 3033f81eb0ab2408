"""The one error that callers of the SDK see, however it came: of a call, inside a conversation, or from gRPC itself."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DETAILS_METADATA = "grpc-status-details-bin"


class ParleyError(Exception):
    """What went wrong, as the server said it.

    `code` is gRPC's canonical code. `reason` is what programs go by (UPPER_SNAKE; docs/errors.md lists all; empty where
    it was not Parley that answered). `message` is for people. `details` are the google.rpc messages that came with it.
    `retry_after` is how long the server asks to wait, in seconds; None when it does not say.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        details: tuple[Message, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code.name}{f' ({reason})' if reason else ''}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    @property
    def fields(self) -> Mapping[str, str]:
        """Tell what is wrong with which field of the request, by its path."""
        return {
            violation.field: violation.description
            for detail in self.details
            if isinstance(detail, BadRequest)
            for violation in detail.field_violations
        }


def from_call(error: grpc.aio.AioRpcError) -> ParleyError:
    """Read the error of a call, with the google.rpc.Status in its trailers if there is one."""
    status = _status(error)
    if status is not None and status.code == _number(error.code()):
        return from_status(status)
    return ParleyError(error.code(), error.details() or "")


def from_status(status: Status) -> ParleyError:
    """Read a google.rpc.Status, as errors have it and `refused` of signaling."""
    details = tuple(_unpacked(detail) for detail in status.details)
    reasons = [detail.reason for detail in details if isinstance(detail, ErrorInfo)]
    waits = [
        detail.retry_delay.ToMilliseconds() / 1000
        for detail in details
        if isinstance(detail, RetryInfo)
    ]
    return ParleyError(
        _CODES.get(status.code, grpc.StatusCode.UNKNOWN),
        status.message,
        reason=reasons[0] if reasons else "",
        details=details,
        retry_after=waits[0] if waits else None,
    )


def _status(error: grpc.aio.AioRpcError) -> Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_METADATA and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _unpacked(packed: PackedAny) -> Message:
    """Take a detail out of its Any; what is not known here stays packed."""
    try:
        kind = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
        detail = message_factory.GetMessageClass(kind)()
        detail.ParseFromString(packed.value)
    except (KeyError, DecodeError):
        return packed
    return detail


def _number(code: grpc.StatusCode) -> int:
    return int(code.value[0])


_CODES = {_number(code): code for code in grpc.StatusCode}

__all__ = ["ParleyError", "from_call", "from_status"]
