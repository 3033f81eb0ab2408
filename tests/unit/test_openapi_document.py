"""The OpenAPI document says what Envoy and the services do with a request."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from stack import apidocs, codegen, openapi

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    return openapi.document(codegen.contracts())


def test_the_document_is_valid_openapi(document: Document) -> None:
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())


def test_the_same_contracts_give_the_same_document(document: Document) -> None:
    again = openapi.document(codegen.contracts())
    assert again == document
    assert list(again["paths"]) == list(document["paths"])


def test_no_two_operations_share_an_id(document: Document) -> None:
    names = [it["operationId"] for verbs in document["paths"].values() for it in verbs.values()]
    assert len(names) == len(set(names))


def test_a_resource_name_becomes_a_parameter_that_knows_its_pattern(document: Document) -> None:
    operation = document["paths"]["/api/v1/meetings/{meeting}:join"]["post"]
    assert operation["parameters"] == [
        {
            "name": "meeting",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[a-z]{3}-[a-z]{4}-[a-z]{3}$"},
        }
    ]


def test_what_the_path_has_is_not_in_the_body(document: Document) -> None:
    operation = document["paths"]["/api/v1/meetings/{meeting}:join"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"display_name", "passcode", "request_id"}
    assert not operation["requestBody"]["required"]


def test_a_body_that_is_one_field_leaves_the_others_to_the_query(document: Document) -> None:
    operation = document["paths"]["/api/v1/users/{user}"]["patch"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/user.v1.User"}
    assert [it["name"] for it in operation["parameters"] if it["in"] == "query"] == [
        "update_mask",
        "request_id",
    ]


def test_rules_of_the_contracts_become_constraints(document: Document) -> None:
    schemas = document["components"]["schemas"]
    register = document["paths"]["/api/v1/auth/register"]["post"]["requestBody"]
    fields = register["content"]["application/json"]["schema"]
    assert fields["required"] == ["username", "email", "password"]
    password = fields["properties"]["password"]
    assert (password["minLength"], password["maxLength"]) == (8, 128)
    assert fields["properties"]["email"]["format"] == "email"
    assert schemas["meeting.v1.Meeting"]["properties"]["host"]["readOnly"] is True


def test_a_rule_that_spares_the_empty_value_lets_it_pass(document: Document) -> None:
    passcode = document["components"]["schemas"]["meeting.v1.Meeting"]["properties"]["passcode"]
    assert passcode["anyOf"][0] == {"const": ""}
    assert passcode["anyOf"][1]["minLength"] == 4


def test_values_are_described_as_the_transcoder_prints_them(document: Document) -> None:
    schemas = document["components"]["schemas"]
    media = schemas["media.v1.Media"]["properties"]
    assert media["size_bytes"]["type"] == "string"
    assert media["create_time"]["format"] == "date-time"
    assert "ROLE_ADMIN" in schemas["user.v1.Role"]["enum"]


def test_a_token_is_asked_for_where_the_contract_says_so(document: Document) -> None:
    paths = document["paths"]
    assert paths["/api/v1/auth/login"]["post"]["security"] == []
    assert paths["/api/v1/users/{user}"]["get"]["security"] == [{"user": []}]
    assert paths["/api/v1/admin/users"]["get"]["security"] == [{"user": ["admin"]}]


def test_errors_are_statuses_with_the_reasons_that_the_comment_names(document: Document) -> None:
    responses = document["paths"]["/api/v1/meetings/{meeting}:join"]["post"]["responses"]
    assert list(responses) == ["200", "400", "401", "403", "404", "429", "default"]
    assert "MEETING_LOCKED" in responses["400"]["description"]
    for status, response in responses.items():
        if status != "200":
            schema = response["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/google.rpc.Status"}


def test_a_raw_upload_is_a_body_of_bytes_with_its_name_in_the_query(document: Document) -> None:
    upload = document["paths"]["/api/v1/media"]["post"]
    assert list(upload["requestBody"]["content"]) == ["application/octet-stream"]
    assert [it["name"] for it in upload["parameters"]] == ["name", "request_id"]


def test_internal_methods_are_not_in_it(document: Document) -> None:
    text = str(document)
    assert "ReportPresence" not in text
    assert "PublishEvents" not in text


def test_every_element_is_described(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        if not name.startswith("google."):
            assert schema["description"], name
    for verbs in document["paths"].values():
        for operation in verbs.values():
            assert operation["summary"], operation["operationId"]


def test_the_page_needs_nothing_that_the_security_policy_forbids(document: Document) -> None:
    page = apidocs.page(document)
    assert "<script" not in page
    assert not re.search(r"\sstyle=|\son\w+=|<style", page)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_the_page_has_every_operation_and_no_dead_link(document: Document) -> None:
    page = apidocs.page(document)
    marks = re.findall(r' id="([^"]+)"', page)
    assert len(marks) == len(set(marks))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(marks)
    for verbs in document["paths"].values():
        for operation in verbs.values():
            assert operation["operationId"] in marks
