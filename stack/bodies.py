"""The contract as Nginx needs it to read bodies: which REST path takes which message, and the fields of each.

For every verb a list of [pattern of the path, message, whether it needs a token], without those whose bodies are no JSON; and for every message a field name → message ("" where the field
has no fields of its own that we know). Both spellings of a name are there, as proto3's JSON mapping has it.
"""

from __future__ import annotations

import json
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from stack.rest import described, methods

RAW = "google.api.HttpBody"


@cache
def contract() -> str:
    """Make the contract, as JSON, of all methods that have a body over REST."""
    pool = DescriptorPool()
    for file in described().file:
        pool.Add(file)
    rules: dict[str, list[tuple[str, str, bool]]] = {}
    messages: dict[str, dict[str, str]] = {}
    for method in methods(described()):
        for rule in filter(lambda each: each.body, method.rules):
            found: Descriptor | None = pool.FindMessageTypeByName(method.request)
            if found is not None and rule.body != "*":
                found = found.fields_by_name[rule.body].message_type
            if found is None or found.full_name == RAW:
                continue
            rules.setdefault(rule.verb, []).append(
                (f"^{rule.regex}$", found.full_name, not method.is_public)
            )
            _add(messages, found)
    return json.dumps({"rules": rules, "messages": messages})


def _add(messages: dict[str, dict[str, str]], message: Descriptor) -> None:
    """Add a message and all that it is made of."""
    if message.full_name in messages:
        return
    fields = messages[message.full_name] = {}
    for field in message.fields:
        within = _within(field)
        name = within.full_name if within is not None else ""
        fields[field.name] = fields[field.json_name] = name
        if within is not None:
            _add(messages, within)


def _within(field: FieldDescriptor) -> Descriptor | None:
    """Give the message whose fields a field's JSON has; None for scalars, maps and what JSON writes in a way of its own."""
    found = field.message_type
    if found is None or found.GetOptions().map_entry or found.full_name.startswith("google."):
        return None
    return found


__all__ = ["contract"]
