"""The methods of the contracts and their REST rules (google.api.http), as what routes and checks bodies needs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto
from parley.options.v1 import options_pb2
from parley.options.v1.options_pb2 import Access

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = ROOT / "gen" / "parley.binpb"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to a method: `verb`, path `template`, and `body`: "*", the field that is the body, or "" for none."""

    verb: str
    template: str
    body: str

    @property
    def regex(self) -> str:
        """A regular expression for whole paths, without a query."""
        return rest_regex(self.template)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the contracts. `cluster` is the service process that has it, `request` its message's full name.

    `callers` are the services that may call it, where it is for services.
    """

    cluster: str
    service: str
    name: str
    access: int
    callers: frozenset[str]
    request: str
    rules: tuple[Rule, ...]
    client_streaming: bool
    server_streaming: bool

    @property
    def path(self) -> str:
        """The gRPC path."""
        return f"/{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        """Whether either side sends more than one message."""
        return self.client_streaming or self.server_streaming

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing and has one answer."""
        return self.name.startswith(("Get", "List")) and not self.streaming

    @property
    def is_public(self) -> bool:
        """Whether nobody needs an access token for it."""
        return self.access in (Access.ACCESS_PUBLIC, Access.ACCESS_TICKET)

    @property
    def is_at_the_edge(self) -> bool:
        """Whether it may be called from outside."""
        return self.access not in (Access.ACCESS_SERVICE, Access.ACCESS_UNSPECIFIED)


@cache
def described() -> FileDescriptorSet:
    """Read the committed descriptors of all contracts."""
    return FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())


def methods(descriptors: FileDescriptorSet) -> list[Method]:
    """List the methods of Parley's own services."""
    return [
        Method(
            cluster=_cluster(file.package, service.name),
            service=f"{file.package}.{service.name}",
            name=method.name,
            access=method.options.Extensions[options_pb2.access],
            callers=frozenset(method.options.Extensions[options_pb2.callers]),
            request=method.input_type.lstrip("."),
            rules=tuple(_rules(method)),
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
        )
        for file in descriptors.file
        if file.package.startswith("parley.")
        for service in file.service
        for method in service.method
    ]


def _cluster(package: str, service: str) -> str:
    """Name the processes that serve it: those of its package, but for the media library, which has its own."""
    return "library" if service == "LibraryService" else package.split(".")[1]


def rest_regex(template: str) -> str:
    """Write a path template of google.api.http as a regular expression, for whole paths without a query.

    `/api/v1/{name=meetings/*}:join` → `/api/v1/meetings/[^/:]+:join`.
    """
    pattern = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", template)
    pattern = re.sub(r"\{[\w.]+\}", "*", pattern)
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"*": "[^/:]+", "**": ".+"}.get(part) or re.escape(part) for part in parts)


def _rules(method: MethodDescriptorProto) -> Iterator[Rule]:
    main: HttpRule = method.options.Extensions[annotations_pb2.http]
    for rule in (main, *main.additional_bindings):
        if verb := rule.WhichOneof("pattern"):
            yield Rule(verb.upper(), str(getattr(rule, verb)), rule.body)


__all__ = ["DESCRIPTORS", "Method", "Rule", "described", "methods", "rest_regex"]
