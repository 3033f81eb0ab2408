"""What clients are told: one message, and how it is written, once for however many whom it is for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from google.protobuf import json_format
from parley.signaling.v1.signaling_pb2 import ServerMessage


@dataclass(frozen=True, eq=False)
class Told:
    """A message that many may be told: nobody changes it any more."""

    message: ServerMessage

    @cached_property
    def kind(self) -> str:
        """The name of the message's field that is set."""
        return str(self.message.WhichOneof("message"))

    @cached_property
    def json(self) -> bytes:
        """The message as proto3 JSON with snake_case names, in UTF-8."""
        text = json_format.MessageToJson(
            self.message, preserving_proto_field_name=True, indent=None
        )
        return text.encode()


__all__ = ["Told"]
