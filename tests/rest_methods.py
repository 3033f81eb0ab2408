"""Requests of the contracts as REST has them: google.api.http turned into a method, a path, a query and a body."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from stack.rest import Rule, described, methods
from tests.rest import Person

VARIABLE = re.compile(r"\{([\w.]+)(=[^}]*)?\}")


def call(person: Person, method: str, message: Message) -> httpx.Response:
    """Call `Service.Method` of the meeting service as somebody."""
    rule = _rule(f"parley.meeting.v1.{method}")
    values: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    path = VARIABLE.sub(lambda found: str(_taken(values, found[1])), rule.template)
    body: Any = values if rule.body == "*" else values.pop(rule.body, {}) if rule.body else None
    query = {} if rule.body == "*" else values
    return person.call(rule.verb, path, params=query, json=body)


def _taken(values: dict[str, Any], field: str) -> Any:
    """Take a field's value out of a message."""
    *outer, last = field.split(".")
    for name in outer:
        values = values[name]
    return values.pop(last)


@cache
def _rule(name: str) -> Rule:
    found = (each for each in methods(described()) if f"{each.service}.{each.name}" == name)
    return next(found).rules[0]


__all__ = ["call"]
