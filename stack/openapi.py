"""The OpenAPI 3.1 document of what is served over REST, made from the contracts alone.

Every method with a google.api.http rule is an operation: its comment the description, its access option the security,
the errors that its comment names the responses. The same descriptors give the same document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from parley.options.v1 import options_pb2
from parley.options.v1.options_pb2 import Access

from stack.contracts import Contracts
from stack.schemas import Schema, Schemas, is_required

HTTP_BODY = "google.api.HttpBody"
STATUS = "google.rpc.Status"

HTTP_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
"""The status that each canonical code has over REST, as Envoy maps them."""

_ABOUT = """Parley over REST: JSON with snake_case names, enums by name, 64-bit integers as strings.

Sign in with `POST /api/v1/auth/login` and send the access token as `Authorization: Bearer …`. Errors are
`{code, message, details[]}`, whatever the status; `details` has one `google.rpc.ErrorInfo` whose `reason` is listed in
docs/errors.md. A method that this server does not have yet answers 501.

The same methods are served over gRPC and gRPC-Web at the same address."""


def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    """Make the document from descriptors with source info."""
    contracts = Contracts.of(descriptors)
    schemas = Schemas(contracts)
    schemas.reference(STATUS)
    paths: dict[str, dict[str, Any]] = {}
    tags = []
    for package, service in contracts.services():
        full_name = f"{package}.{service.name}"
        operations = [
            (route, Operation(contracts, schemas, full_name, method, rule))
            for method in service.method
            for rule in rules(method)
            if (route := openapi_path(rule_path(rule)))
        ]
        for route, operation in operations:
            verb = str(operation.rule.WhichOneof("pattern"))
            paths.setdefault(route, {})[verb] = operation.described()
        if operations:
            tags.append({"name": service.name, "description": contracts.comments[full_name]})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


class Operation:
    """A REST rule of a method, as OpenAPI describes it."""

    def __init__(
        self,
        contracts: Contracts,
        schemas: Schemas,
        service: str,
        method: MethodDescriptorProto,
        rule: HttpRule,
    ) -> None:
        self.rule = rule
        self._contracts = contracts
        self._schemas = schemas
        self._service = service
        self._method = method
        self._comment = contracts.comments[f"{service}.{method.name}"]
        self._request = method.input_type.removeprefix(".")
        self._bound = dict(variables(rule_path(rule)))

    def described(self) -> Schema:
        """Give the whole operation."""
        text, errors = _split(self._comment)
        access = self._method.options.Extensions[options_pb2.access]
        operation: Schema = {
            "tags": [self._service.rpartition(".")[2]],
            "operationId": self._method.name,
            "summary": _first_sentence(text),
            "description": text,
        }
        if parameters := [*self._path_parameters(), *self._query_parameters()]:
            operation["parameters"] = parameters
        if self.rule.body:
            operation["requestBody"] = self._body()
        admin = access == Access.ACCESS_ADMIN
        secured = admin or access == Access.ACCESS_USER
        operation["responses"] = {
            "200": self._answer(),
            **_error_responses(errors, secured=secured, admin=admin),
        }
        operation["security"] = [{"user": ["admin"] if admin else []}] if secured else []
        return operation

    def _path_parameters(self) -> Iterator[Schema]:
        for path, template in self._bound.items():
            member = self._field(path)
            pattern = member.options.Extensions[validate_pb2.field].string.pattern
            for name, segment in _parameters(template, pattern):
                yield {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "pattern": f"^{segment}$"},
                }

    def _query_parameters(self) -> Iterator[Schema]:
        if self.rule.body == "*":
            return
        for member in self._contracts.messages[self._request].field:
            if member.name == self.rule.body or member.name in self._bound:
                continue
            schema = self._schemas.field(self._request, member)
            parameter: Schema = {"name": member.name, "in": "query"}
            if said := schema.pop("description", ""):
                parameter["description"] = said
            if is_required(member):
                parameter["required"] = True
            yield {**parameter, "schema": schema}

    def _body(self) -> Schema:
        if self.rule.body == "*":
            schema = self._schemas.message(self._request, without=self._bound)
            schema.pop("description", None)
            return _json(schema, required="required" in schema)
        member = self._field(self.rule.body)
        type_name = member.type_name.removeprefix(".")
        if type_name == HTTP_BODY:
            raw = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
            return {"required": True, "content": {"application/octet-stream": raw}}
        return _json(self._schemas.reference(type_name), required=True)

    def _answer(self) -> Schema:
        type_name = self._method.output_type.removeprefix(".")
        if type_name == HTTP_BODY:
            return {"description": "The file.", "content": {"*/*": {}}}
        text = self._contracts.comments[type_name]
        if self._method.server_streaming:
            text = f"A stream, one JSON object a line. {text}"
        schema = self._schemas.reference(type_name)
        return {"description": text, "content": {"application/json": {"schema": schema}}}

    def _field(self, path: str) -> FieldDescriptorProto:
        """Find a field of the request by its path, `user.name`."""
        message = self._contracts.messages[self._request]
        *outer, last = path.split(".")
        for step in outer:
            member = next(it for it in message.field if it.name == step)
            message = self._contracts.messages[member.type_name.removeprefix(".")]
        return next(it for it in message.field if it.name == last)


def rules(method: MethodDescriptorProto) -> Iterator[HttpRule]:
    """Give a method's REST rules, the additional ones too."""
    main: HttpRule = method.options.Extensions[annotations_pb2.http]
    for rule in (main, *main.additional_bindings):
        if rule.WhichOneof("pattern"):
            yield rule


def rule_path(rule: HttpRule) -> str:
    """Get a rule's path template, `/api/v1/{name=meetings/*}:join`."""
    return str(getattr(rule, str(rule.WhichOneof("pattern"))))


def variables(template: str) -> Iterator[tuple[str, str]]:
    """Give the fields that a path template binds, each with the part of the path that it takes."""
    yield from re.findall(r"\{([\w.]+)=([^}]*)\}", template)


def openapi_path(template: str) -> str:
    """Write a path template as OpenAPI has it: `/api/v1/{name=meetings/*}:join` → `/api/v1/meetings/{meeting}:join`."""

    def named(match: re.Match[str]) -> str:
        steps = match[1].split("/")
        return "/".join(
            f"{{{_singular(steps[index - 1])}}}" if step == "*" else step
            for index, step in enumerate(steps)
        )

    return re.sub(r"\{[\w.]+=([^}]*)\}", named, template)


def _parameters(template: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Give the parameters that a bound part of a path has, with what each must look like."""
    steps = template.split("/")
    looks = pattern.removeprefix("^").removesuffix("$").split("/")
    aligned = len(looks) == len(steps)
    for index, step in enumerate(steps):
        if step == "*":
            yield _singular(steps[index - 1]), looks[index] if aligned else "[A-Za-z0-9_-]+"


def _singular(collection: str) -> str:
    """Name one of a collection: `apiKeys` → `api_key`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", collection).lower()
    return words.removesuffix("s")


def _split(comment: str) -> tuple[str, dict[str, list[str]]]:
    """Split a method's comment into its text and the errors that it names: code → reasons."""
    paragraphs = comment.split("\n\n")
    text = [it for it in paragraphs if not it.startswith("Errors:")]
    said = " ".join(it for it in paragraphs if it.startswith("Errors:"))
    found: dict[str, list[str]] = {}
    for code, reasons in re.findall(r"([A-Z_]+)(?: \(([A-Z0-9_, ]+)\))?", said):
        if code in HTTP_STATUSES:
            found.setdefault(code, []).extend(filter(None, reasons.split(", ")))
    return "\n\n".join(text), found


def _error_responses(
    errors: dict[str, list[str]], *, secured: bool, admin: bool
) -> dict[str, Schema]:
    named = {"INVALID_ARGUMENT": ["INVALID_ARGUMENT"]} | (
        {"UNAUTHENTICATED": ["UNAUTHENTICATED", "TOKEN_INVALID", "TOKEN_EXPIRED"]}
        if secured
        else {}
    )
    if admin:
        named["PERMISSION_DENIED"] = ["PERMISSION_DENIED"]
    for code, reasons in errors.items():
        named[code] = [*named.get(code, []), *reasons]
    by_status: dict[str, list[str]] = {}
    for code, reasons in named.items():
        listed = ", ".join(f"`{reason}`" for reason in dict.fromkeys(reasons))
        by_status.setdefault(str(HTTP_STATUSES[code]), []).append(
            f"{code} ({listed})" if listed else code
        )
    responses = {status: _error("; ".join(texts)) for status, texts in sorted(by_status.items())}
    return {**responses, "default": _error("Any other error.")}


def _error(description: str) -> Schema:
    schema = {"$ref": f"#/components/schemas/{STATUS}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _json(schema: Schema, *, required: bool) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _first_sentence(text: str) -> str:
    first, _, _ = text.partition("\n\n")
    return re.split(r"(?<=[.:]) ", first, maxsplit=1)[0].rstrip(".:")


def named_errors(comment: str) -> dict[str, list[str]]:
    """List the errors that a method's comment names: canonical code → reasons."""
    return _split(comment)[1]


__all__ = ["HTTP_STATUSES", "document", "named_errors", "openapi_path", "rule_path", "rules"]
