"""Replies that are lost: the service has done what it was asked, and whoever asked never hears of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message_factory import GetMessageClass
from psycopg import sql

LOST = grpc.StatusCode.DATA_LOSS
"""Nobody tries this again by themselves."""


@dataclass(frozen=True)
class Method:
    """A method of a contract; `request` is what it is asked with."""

    service: str
    name: str
    stubs: ModuleType
    request: type[Any]

    @property
    def full_name(self) -> str:
        return f"{self.service}.{self.name}"

    async def call(self, channel: grpc.aio.Channel, request: Any, metadata: Any) -> Any:
        stub: Any = getattr(self.stubs, f"{self.service}Stub")(channel)
        return await getattr(stub, self.name)(request, metadata=metadata)

    @property
    def servicer(self) -> type[Any]:
        """The class of ours that serves it."""
        found: type[Any] = getattr(self.stubs, f"{self.service}Servicer")
        while heirs := [
            it for it in found.__subclasses__() if it.__module__.startswith("services.")
        ]:
            (found,) = heirs
        return found


def repeatable(package: str) -> Mapping[str, Method]:
    """Find the methods of a package, such as `parley.meeting.v1`, whose requests have a `request_id`."""
    return {
        name: method
        for name, method in methods_of(package).items()
        if "request_id" in method.request.DESCRIPTOR.fields_by_name
    }


def methods_of(package: str) -> Mapping[str, Method]:
    """Find the methods of a package."""
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.name.endswith("_pb2"):
            continue
        contract = importlib.import_module(f"{package}.{module.name}")
        stubs = importlib.import_module(f"{package}.{module.name}_grpc")
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                request = GetMessageClass(method.input_type)
                made = Method(service.name, method.name, stubs, request)
                found[made.full_name] = made
    return found


class LostReplies:
    """Loses the next reply of a method, once it is said which. To be made before the service is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, methods: Mapping[str, Method]) -> None:
        self._next = ""
        for method in methods.values():
            self._patch(monkeypatch, method)

    def lose(self, full_name: str) -> None:
        self._next = full_name

    def _patch(self, monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
        original = getattr(method.servicer, method.name)

        async def served(servicer: Any, request: Any, context: Any) -> Any:
            answer = await original(servicer, request, context)
            if self._next == method.full_name:
                self._next = ""
                await context.abort(LOST, "The process died before it could say so.")
            return answer

        monkeypatch.setattr(method.servicer, method.name, served)


async def kept(url: str, passing: frozenset[str]) -> dict[str, list[str]]:
    """Read all that a database has, as text, but for tables of what is on its way and columns of what is to be told yet."""
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = {name for (name,) in await (await connection.execute(names)).fetchall()} - passing
        found: dict[str, list[str]] = {}
        for name in sorted(tables):
            query = sql.SQL(
                "SELECT (to_jsonb(t) - '{{tell_count,tell_time}}'::text[])::text FROM {} t ORDER BY 1"
            ).format(sql.Identifier(name))
            rows = await (await connection.execute(query)).fetchall()
            found[name] = [row for (row,) in rows]
    return found


__all__ = ["LOST", "LostReplies", "Method", "kept", "methods_of", "repeatable"]
