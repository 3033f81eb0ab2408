"""The contracts as descriptors, with the comments that their authors wrote.

A `Contracts` finds messages, enums and services by their full names, and the comment of each element. Descriptors must
come with source info (buf's default), or every comment is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

OURS = "parley."
READING_ORDER = ("user", "meeting", "signaling", "media", "ai")

_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
"""Field numbers in FileDescriptorProto, of which the paths of source info are made."""
_FIELDS, _NESTED, _NESTED_ENUMS = 2, 3, 4
"""The same in DescriptorProto."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """Messages, enums and comments by full name (`parley.user.v1.User`, `parley.user.v1.User.email`)."""

    descriptors: FileDescriptorSet
    messages: dict[str, DescriptorProto] = field(default_factory=dict)
    enums: dict[str, EnumDescriptorProto] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, descriptors: FileDescriptorSet) -> Contracts:
        """Index a set of descriptors."""
        contracts = cls(descriptors)
        for file in descriptors.file:
            contracts._add_file(file)
        return contracts

    def services(self) -> Iterator[tuple[str, ServiceDescriptorProto]]:
        """Give Parley's own services with their packages, in the order that a reader wants."""
        ours = (file for file in self.descriptors.file if file.package.startswith(OURS))
        for file in sorted(ours, key=_reading_order):
            for service in file.service:
                yield file.package, service

    def methods(self) -> Iterator[tuple[str, MethodDescriptorProto]]:
        """Give Parley's own methods with the full names of their services, in the same order."""
        for package, service in self.services():
            for method in service.method:
                yield f"{package}.{service.name}", method

    def _add_file(self, file: FileDescriptorProto) -> None:
        said = {
            tuple(location.path): location.leading_comments
            for location in file.source_code_info.location
            if location.leading_comments
        }
        for name, path in self._add_elements(file):
            self.comments[name] = _text(said.get(path, ""))

    def _add_elements(self, file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
        for index, message in enumerate(file.message_type):
            yield from self._add_message(file.package, message, (_MESSAGES, index))
        for index, enum in enumerate(file.enum_type):
            yield from self._add_enum(file.package, enum, (_ENUMS, index))
        for index, service in enumerate(file.service):
            name, path = f"{file.package}.{service.name}", (_SERVICES, index)
            yield name, path
            for number, method in enumerate(service.method):
                yield f"{name}.{method.name}", (*path, 2, number)

    def _add_message(
        self, scope: str, message: DescriptorProto, path: tuple[int, ...]
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        name = f"{scope}.{message.name}"
        self.messages[name] = message
        yield name, path
        for index, member in enumerate(message.field):
            yield f"{name}.{member.name}", (*path, _FIELDS, index)
        for index, nested in enumerate(message.nested_type):
            yield from self._add_message(name, nested, (*path, _NESTED, index))
        for index, enum in enumerate(message.enum_type):
            yield from self._add_enum(name, enum, (*path, _NESTED_ENUMS, index))

    def _add_enum(
        self, scope: str, enum: EnumDescriptorProto, path: tuple[int, ...]
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        name = f"{scope}.{enum.name}"
        self.enums[name] = enum
        yield name, path
        for index, value in enumerate(enum.value):
            yield f"{name}.{value.name}", (*path, 2, index)


def _reading_order(file: FileDescriptorProto) -> tuple[int, bool, str]:
    """Accounts before meetings before media; of each, the file that bears its name first."""
    service = file.package.split(".")[1]
    place = READING_ORDER.index(service) if service in READING_ORDER else len(READING_ORDER)
    return place, not file.name.endswith(f"/{service}.proto"), file.name


def _text(comment: str) -> str:
    """Take a comment out of its lines: paragraphs stay, line breaks inside them go."""
    return "\n\n".join(_paragraphs(comment))


def _paragraphs(comment: str) -> Iterator[str]:
    lines: list[str] = []
    for line in (*comment.splitlines(), ""):
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield " ".join(lines)
            lines = []


__all__ = ["OURS", "Contracts"]
