"""Methods as a protoset describes them, and their messages made from that alone: no stubs, so any protoset will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message


class ContractError(Exception):
    """The protoset can't be read, has no such method, or the data is not the method's message."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that can be called."""

    descriptor: MethodDescriptor
    pool: DescriptorPool
    request: type[Message]
    response: type[Message]

    @property
    def path(self) -> str:
        """As gRPC calls it: `/package.Service/Method`."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def streams_up(self) -> bool:
        """Whether the client says more than one message."""
        return bool(self.descriptor.client_streaming)

    @property
    def streams_down(self) -> bool:
        """Whether the server does."""
        return bool(self.descriptor.server_streaming)

    @property
    def call_fields(self) -> Mapping[str, object]:
        """The call data that is the same for every call, by ghz's names."""
        return {
            "FullyQualifiedName": self.descriptor.full_name,
            "MethodName": self.descriptor.name,
            "ServiceName": self.descriptor.containing_service.name,
            "InputName": self.descriptor.input_type.name,
            "OutputName": self.descriptor.output_type.name,
            "IsClientStreaming": self.streams_up,
            "IsServerStreaming": self.streams_down,
        }

    def message(self, text: str) -> Message:
        """Read a request from JSON. Raises ContractError."""
        try:
            return json_format.Parse(text, self.request(), descriptor_pool=self.pool)
        except json_format.ParseError as error:
            name = self.descriptor.input_type.full_name
            raise ContractError(f"the data is no {name}: {error}") from None


class Contract:
    """What is in one protoset."""

    def __init__(self, protoset: Path) -> None:
        self._pool = DescriptorPool()
        try:
            files = FileDescriptorSet.FromString(protoset.read_bytes()).file
            for file in files:
                self._pool.Add(file)
        except (OSError, DecodeError, TypeError) as error:
            raise ContractError(f"no protoset can be read from {protoset}: {error}") from None
        self._names = [file.name for file in files]

    def method(self, call: str) -> Method:
        """Find a method by `package.Service.Method` or `package.Service/Method`. Raises ContractError."""
        service, _, name = call.replace("/", ".").rpartition(".")
        try:
            found = self._pool.FindServiceByName(service).methods_by_name[name]
        except KeyError:
            raise ContractError(f"the protoset has no method {call!r}") from None
        return self._made(found)

    def methods(self) -> Iterator[Method]:
        """List all methods."""
        for name in self._names:
            for service in self._pool.FindFileByName(name).services_by_name.values():
                yield from map(self._made, service.methods)

    def _made(self, found: MethodDescriptor) -> Method:
        request = message_factory.GetMessageClass(found.input_type)
        return Method(
            found, self._pool, request, message_factory.GetMessageClass(found.output_type)
        )


@cache
def contract(protoset: Path) -> Contract:
    """Read a protoset, once. Raises ContractError."""
    return Contract(protoset)


__all__ = ["Contract", "ContractError", "Method", "contract"]
