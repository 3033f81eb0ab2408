"""The templates of scenarios, as ghz would fill them."""

from __future__ import annotations

import re
import uuid

import pytest

from loadtest.templates import Filling, Template, TemplateError, call_fields

METHOD = {"MethodName": "Login", "IsClientStreaming": False}


def filled(text: str, number: int = 7, **environment: str) -> str:
    filling = Filling(call_fields(number, "g0", METHOD), environment)
    return Template.parse(text).fill(filling)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("no template { } at all", "no template { } at all"),
        ("{{.RequestNumber}}", "7"),
        ("a{{ .RequestNumber }}b{{.WorkerID}}", "a7bg0"),
        ("{{.MethodName}} {{.IsClientStreaming}}", "Login false"),
        ("{{randomString 8}}", "[A-Za-z0-9]{8}"),
        ("{{randomString 0}}", "[A-Za-z0-9]{2,16}"),
        ("{{randomInt 3 5}}", "[34]"),
        ("{{.TimestampUnix}}", r"\d{10}"),
        ("{{.TimestampUnixMilli}}", r"\d{13}"),
        ("{{.TimestampUnixNano}}", r"\d{19}"),
        ("{{.Timestamp}}", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"),
    ],
)
def test_templates_are_filled(text: str, pattern: str) -> None:
    assert re.fullmatch(pattern, filled(text))


def test_a_call_has_one_uuid_and_the_function_makes_others() -> None:
    first, second, other = filled("{{.UUID}},{{.UUID}},{{newUUID}}").split(",")
    assert first == second != other
    assert uuid.UUID(first).version == uuid.UUID(other).version == 4


def test_the_environment_is_read() -> None:
    assert filled("Bearer {{env `TOKEN`}}", TOKEN="t") == "Bearer t"
    assert filled('{{env "TOKEN"}}', TOKEN="t") == "t"
    assert filled("{{env `NOT_SET`}}") == ""


def test_each_call_takes_its_own_of_a_list() -> None:
    text = "{{index (splitList `,` (env `TICKETS`)) .RequestNumber}}"
    assert [filled(text, number, TICKETS="a,b,c") for number in range(3)] == ["a", "b", "c"]
    with pytest.raises(TemplateError, match="there are 3, and number 3 is asked for"):
        filled(text, 3, TICKETS="a,b,c")


def test_the_variables_that_are_read_are_known_before() -> None:
    text = "{{env `A`}} {{index (splitList `,` (env `B`)) 0}} {{.UUID}} {{randomString 4}}"
    assert Template.parse(text).variables == {"A", "B"}
    assert Template.parse(text).has_actions
    assert not Template.parse("plain").has_actions


@pytest.mark.parametrize(
    "text",
    [
        "{{upper `a`}}",
        "{{.UUID | quote}}",
        "{{if .UUID}}a{{end}}",
        "{{- .UUID}}",
        "{{}}",
        "{{(env `A`}}",
        "{{env `A`)}}",
        "{{.UUID .UUID}}",
        "{{7 8}}",
        r"{{env \"A\"}}",  # what JSON makes of double quotes, and Go's templates do not take either
        "never ends {{.UUID",
    ],
)
def test_what_is_not_supported_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{.NoSuchField}}",
        "{{randomString `8`}}",
        "{{randomString 8 16}}",
        "{{randomInt 5 3}}",
        "{{splitList `,` `a,b`}}",
        "{{index `abc` `b`}}",
        "{{env}}",
    ],
)
def test_what_cannot_be_filled_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        filled(text)
