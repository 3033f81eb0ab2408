"""The page at /api/docs, made from the OpenAPI document: plain HTML without scripts, one page to search with Ctrl-F.

The strict content security policy that Nginx sends leaves no room for inline styles or scripts, and none are needed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

STYLE = Path(__file__).with_name("apidocs.css")
EXAMPLE_HOST = "http://localhost:8000"
EXAMPLE_VALUES = {"email": "ada@example.org", "uuid": "6f1c2f0e-8d0a-4c55-9a43-0f4f3b0f5a11"}


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the page and its style to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(page(document))
    shutil.copyfile(STYLE, folder / STYLE.name)


def page(document: dict[str, Any]) -> str:
    """Give the whole page."""
    groups = _by_tag(document)
    nav = "\n".join(_nav_group(tag, operations) for tag, operations in groups.items())
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    sections = "\n".join(
        f'<section id="{tag}"><h2>{tag}</h2>{_prose(described[tag])}\n'
        + "\n".join(_operation(document, *operation) for operation in operations)
        + "\n</section>"
        for tag, operations in groups.items()
    )
    schemas = "\n".join(
        _component(name, schema) for name, schema in document["components"]["schemas"].items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley API</title>
<link rel="stylesheet" href="{STYLE.name}">
</head>
<body>
<nav aria-label="Methods">
<p class="home"><a href="#top">Parley API</a></p>
{nav}
<p class="group"><a href="#messages">Messages</a></p>
</nav>
<main id="top">
<h1>Parley API</h1>
{_prose(document["info"]["description"])}
<p>As a file: <a href="/api/v1/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
{sections}
<section id="messages"><h2>Messages</h2>
{schemas}
</section>
</main>
</body>
</html>
"""


Operations = dict[str, list[tuple[str, str, Schema]]]


def _by_tag(document: dict[str, Any]) -> Operations:
    groups: Operations = {tag["name"]: [] for tag in document["tags"]}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            groups[operation["tags"][0]].append((verb, path, operation))
    return groups


def _nav_group(tag: str, operations: list[tuple[str, str, Schema]]) -> str:
    items = "\n".join(
        f'<li><a href="#{it["operationId"]}">{it["operationId"]}</a></li>'
        for _, _, it in operations
    )
    return f'<p class="group"><a href="#{tag}">{tag}</a></p>\n<ul>\n{items}\n</ul>'


def _operation(document: dict[str, Any], verb: str, path: str, operation: Schema) -> str:
    name = operation["operationId"]
    who = f'<span class="who">{_who(operation)}</span>'
    parts = [
        f'<article id="{name}">\n<h3>{name}</h3>',
        f'<p class="route"><b class="{verb}">{verb.upper()}</b> <code>{_breakable(path)}</code> {who}</p>',
        _prose(operation["description"]),
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (it["name"], it["schema"] | {"description": it.get("description", "In the path.")})
            for it in parameters
        ]
        required = [it["name"] for it in parameters if it.get("required")]
        parts.append("<h4>Parameters</h4>" + _table(rows, required))
    if body := _json_of(operation.get("requestBody")):
        parts.append("<h4>Body</h4>" + _fields_or_link(body))
    parts.append(f"<pre>{escape(_curl(document, verb, path, operation))}</pre>")
    parts.append(_responses(operation["responses"]))
    return "\n".join([*parts, "</article>"])


def _who(operation: Schema) -> str:
    if not operation["security"]:
        return "anyone"
    return "admins" if "admin" in operation["security"][0]["user"] else "signed in"


def _responses(responses: dict[str, Schema]) -> str:
    rows = []
    for status, response in responses.items():
        schema = _json_of(response)
        answer = f" {_type(schema)}" if schema and status == "200" else ""
        rows.append(
            f"<tr><th>{status}</th><td>{_inline(response['description'])}{answer}</td></tr>"
        )
    return f'<h4>Answers</h4><table class="answers">{"".join(rows)}</table>'


def _component(name: str, schema: Schema) -> str:
    body = _fields(schema) if "properties" in schema else ""
    return (
        f'<article id="{name}">\n<h3>{_breakable(name)}</h3>\n'
        f"{_prose(schema.get('description', ''))}\n{body}</article>"
    )


def _fields_or_link(schema: Schema) -> str:
    if "$ref" in schema:
        return f"<p>{_type(schema)}</p>"
    return _fields(schema) if "properties" in schema else "<p>An empty object, or nothing.</p>"


def _fields(schema: Schema) -> str:
    return _table(list(schema["properties"].items()), schema.get("required", []))


def _table(rows: list[tuple[str, Schema]], required: list[str]) -> str:
    cells = []
    for name, schema in rows:
        marks = ["required"] if name in required else []
        marks += ["read only"] if schema.get("readOnly") else []
        said = "".join(f' <span class="mark">{mark}</span>' for mark in marks)
        limits = _limits(schema)
        cells.append(
            f"<tr><th><code>{escape(name)}</code>{said}</th><td>{_type(schema)}</td>"
            f"<td>{_inline(schema.get('description', ''))}"
            + (f' <span class="limits">{escape(limits)}</span>' if limits else "")
            + "</td></tr>"
        )
    return f"<table>{''.join(cells)}</table>"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{_breakable(name.rpartition(".")[2])}</a>'
    if "anyOf" in schema:
        return _type(schema["anyOf"][-1])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"map to {_type(schema['additionalProperties'])}"
    kind = str(schema.get("format") or schema.get("contentEncoding") or schema.get("type", "any"))
    return escape(kind)


_LIMITS = {
    "pattern": "pattern {}",
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minItems": "items ≥ {}",
    "maxItems": "items ≤ {}",
}


def _limits(schema: Schema) -> str:
    ruled = schema["anyOf"][-1] if "anyOf" in schema else schema
    limits = [text.format(ruled[key]) for key, text in _LIMITS.items() if key in ruled]
    return ", ".join([*limits, *(["or empty"] if "anyOf" in schema else [])])


def _curl(document: dict[str, Any], verb: str, path: str, operation: Schema) -> str:
    lines = [f"curl -X {verb.upper()} '{EXAMPLE_HOST}{_example_path(path)}'"]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    body = operation.get("requestBody", {})
    if schema := _json_of(body):
        example = json.dumps(_example(document, schema), ensure_ascii=False)
        lines += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    elif body:
        lines.append("--data-binary @file")
    return " \\\n  ".join(lines)


def _example_path(path: str) -> str:
    known = {"meeting": "abc-defg-hij", "user": "me"}
    return re.sub(r"\{(\w+)\}", lambda it: known.get(it[1], f"<{it[1]}>"), path)


def _example(document: dict[str, Any], schema: Schema) -> Any:
    """Make an example with what is required and nothing else."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _example(document, document["components"]["schemas"][name])
    if "enum" in schema:
        return schema["enum"][1]
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        return {it: _example(document, properties[it]) for it in schema.get("required", [])}
    if schema["type"] == "array":
        return [_example(document, schema["items"])]
    if schema["type"] == "string":
        return EXAMPLE_VALUES.get(schema.get("format", ""), "…")
    return schema.get("minimum", 1)


def _json_of(carrier: Schema | None) -> Schema | None:
    content: Schema = (carrier or {}).get("content", {})
    schema: Schema | None = content.get("application/json", {}).get("schema")
    return schema


def _prose(text: str) -> str:
    return "\n".join(_blocks(text))


def _blocks(text: str) -> Iterator[str]:
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith("- "):
            items = (
                f"<li>{_inline(line.removeprefix('- '))}</li>" for line in paragraph.split("\n")
            )
            yield f"<ul>{''.join(items)}</ul>"
        else:
            yield f"<p>{_inline(paragraph)}</p>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _breakable(name: str) -> str:
    return re.sub(r"([/.:])", r"\1<wbr>", escape(name))


__all__ = ["page", "write"]
