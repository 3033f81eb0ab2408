"""JSON Schemas of the contracts' messages, as Envoy's transcoder reads and prints them (proto3 JSON, snake_case).

The rules of buf.validate become constraints where JSON Schema has words for them; rules about durations and times stay
in the descriptions. A field that a rule ignores while it is empty may also be empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from buf.validate import validate_pb2
from buf.validate.validate_pb2 import FieldRules
from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from stack.contracts import OURS, Contracts

Schema = dict[str, Any]

_Type = FieldDescriptorProto.Type
_SCALARS: dict[int, Schema] = {
    _Type.TYPE_STRING: {"type": "string"},
    _Type.TYPE_BOOL: {"type": "boolean"},
    _Type.TYPE_BYTES: {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    },
    _Type.TYPE_FLOAT: {"type": "number", "format": "float"},
    _Type.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _Type.TYPE_INT32: {"type": "integer", "format": "int32"},
    _Type.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    _Type.TYPE_INT64: {"type": "string", "format": "int64"},
    _Type.TYPE_UINT64: {"type": "string", "format": "uint64"},
}

_FIELD = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$",
        "examples": ["90s", "0.5s"],
    },
    "google.protobuf.FieldMask": {
        "type": "string",
        "pattern": rf"^({_FIELD}(,{_FIELD})*)?$",
        "description": "Names of fields, separated by commas.",
    },
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
    "google.rpc.Status": {
        "type": "object",
        "description": "An error, the same by gRPC, gRPC-Web and REST.",
        "properties": {
            "code": {
                "type": "integer",
                "format": "int32",
                "description": "google.rpc.Code: 3 is INVALID_ARGUMENT, 5 NOT_FOUND and so on.",
            },
            "message": {"type": "string", "description": "What is wrong, for people."},
            "details": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/google.protobuf.Any"},
                "description": "One google.rpc.ErrorInfo, whose `reason` programs can rely on (docs/errors.md); "
                "BadRequest where fields are wrong; RetryInfo where trying again helps.",
            },
        },
        "required": ["code", "message", "details"],
    },
}


_SERVERS_OWN = frozenset({field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER})
"""What a request need not say: a name stands in the path already."""


class Schemas:
    """Component schemas, made as they are referred to."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._made: dict[str, Schema] = {}

    def components(self) -> dict[str, Schema]:
        """Give the schemas that were referred to, by name."""
        return dict(sorted(self._made.items()))

    def reference(self, full_name: str) -> Schema:
        """Refer to a message, an enum or a well-known type, `parley.user.v1.User`."""
        name = component_name(full_name)
        if name not in self._made:
            self._made[name] = {}  # a message may contain itself
            self._made[name] = self._component(full_name)
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, full_name: str, without: Iterable[str] = ()) -> Schema:
        """Describe a message as an object, less some of its fields."""
        left_out = set(without)
        fields = [it for it in self._contracts.messages[full_name].field if it.name not in left_out]
        schema: Schema = {"type": "object", "additionalProperties": False}
        if said := self._contracts.comments.get(full_name):
            schema["description"] = said
        if fields:
            schema["properties"] = {it.name: self.field(full_name, it) for it in fields}
        if required := [it.name for it in fields if is_required(it)]:
            schema["required"] = required
        return schema

    def field(self, owner: str, member: FieldDescriptorProto) -> Schema:
        """Describe a field of a message with what its comment and its rules say."""
        rules = member.options.Extensions[validate_pb2.field]
        schema = self._value(member, rules)
        if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE and not is_required(member):
            schema = _or_empty(schema)
        if said := self._contracts.comments.get(f"{owner}.{member.name}"):
            schema = {**schema, "description": said}
        if _SERVERS_OWN & set(behaviors(member)):
            schema["readOnly"] = True
        return schema

    def _component(self, full_name: str) -> Schema:
        if full_name in _WELL_KNOWN:
            if full_name == "google.rpc.Status":
                self.reference("google.protobuf.Any")
            return _WELL_KNOWN[full_name]
        if full_name in self._contracts.enums:
            return self._enum(full_name)
        return self.message(full_name)

    def _enum(self, full_name: str) -> Schema:
        values = [value.name for value in self._contracts.enums[full_name].value]
        said = [self._contracts.comments[full_name]]
        lines = (f"- `{it}`: {self._contracts.comments[f'{full_name}.{it}']}" for it in values)
        return {
            "type": "string",
            "enum": values,
            "description": "\n".join(["".join(said), "", *lines]),
        }

    def _value(self, member: FieldDescriptorProto, rules: FieldRules) -> Schema:
        if member.label != FieldDescriptorProto.LABEL_REPEATED:
            return {**self._single(member), **self._constraints(member, rules)}
        if (entry := self._map_entry(member)) is not None:
            value = self._single(entry.field[1])
            schema: Schema = {"type": "object", "additionalProperties": value}
            return schema | _present(("maxProperties", rules.map.max_pairs))
        items = {**self._single(member), **self._constraints(member, rules.repeated.items)}
        return {"type": "array", "items": items, **self._constraints(member, rules)}

    def _constraints(self, member: FieldDescriptorProto, rules: FieldRules) -> Schema:
        kind = str(rules.WhichOneof("type"))
        if kind == "enum":
            values = self._contracts.enums[member.type_name.removeprefix(".")].value
            unwanted = [each.name for each in values if each.number in rules.enum.not_in]
            return {"not": {"enum": unwanted}} if unwanted else {}
        make = _CONSTRAINTS.get(kind)
        return make(rules) if make else {}

    def _single(self, member: FieldDescriptorProto) -> Schema:
        if member.type in _SCALARS:
            return dict(_SCALARS[member.type])
        full_name = member.type_name.removeprefix(".")
        if full_name in _WELL_KNOWN and full_name != "google.rpc.Status":
            return dict(_WELL_KNOWN[full_name])
        return self.reference(full_name)

    def _map_entry(self, member: FieldDescriptorProto) -> DescriptorProto | None:
        message = self._contracts.messages.get(member.type_name.removeprefix("."))
        return message if message is not None and message.options.map_entry else None


def component_name(full_name: str) -> str:
    """Name a component: `parley.user.v1.User` → `user.v1.User`."""
    return full_name.removeprefix(OURS)


def behaviors(member: FieldDescriptorProto) -> list[int]:
    """List a field's google.api.field_behavior."""
    return list(member.options.Extensions[field_behavior_pb2.field_behavior])


def is_required(member: FieldDescriptorProto) -> bool:
    """Tell whether a request without the field is refused."""
    return field_behavior_pb2.REQUIRED in behaviors(member)


def _or_empty(schema: Schema) -> Schema:
    empty = {"string": "", "integer": 0}[schema["type"]]
    return {"anyOf": [{"const": empty}, schema]}


def _present(*pairs: tuple[str, Any]) -> Schema:
    return {key: value for key, value in pairs if value}


def _string(rules: FieldRules) -> Schema:
    it = rules.string
    known = ("email", "uuid", "uri")
    said = str(it.WhichOneof("well_known") or "")
    return _present(
        ("minLength", it.min_len),
        ("maxLength", it.max_len or it.max_bytes),
        ("pattern", it.pattern),
        ("format", said if said in known else ""),
    )


def _bytes(rules: FieldRules) -> Schema:
    def encoded(size: int) -> int:
        return -(-size // 3) * 4

    return _present(("maxLength", encoded(rules.bytes.max_len)))


def _number(rules: FieldRules) -> Schema:
    it = getattr(rules, str(rules.WhichOneof("type")))
    bounds = (("gte", "minimum"), ("lte", "maximum"), ("gt", "exclusiveMinimum"))
    return {word: getattr(it, rule) for rule, word in bounds if it.HasField(rule)}


def _repeated(rules: FieldRules) -> Schema:
    it = rules.repeated
    return _present(
        ("minItems", it.min_items), ("maxItems", it.max_items), ("uniqueItems", it.unique)
    )


_CONSTRAINTS: dict[str, Callable[[FieldRules], Schema]] = {
    "string": _string,
    "bytes": _bytes,
    "int32": _number,
    "uint32": _number,
    "float": _number,
    "repeated": _repeated,
}


__all__ = ["Schema", "Schemas", "component_name", "is_required"]
