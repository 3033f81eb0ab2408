from __future__ import annotations

import re
from pathlib import Path

import pytest
from parley.options.v1.options_pb2 import Access

from stack import envoy
from stack.rest import Method, described, methods, rest_regex
from stack.settings import Limits
from stack.topology import topology

METHODS = methods(described())
CONFIGURATION = envoy.configured(topology(media_workers=2), Path("/logs"), Limits())
EDGE, MESH = CONFIGURATION.split("- name: mesh # ")
ROUTES = re.split(r"\n +- name: ", EDGE)


def routes_to(path: str) -> list[str]:
    return [route for route in ROUTES if f'path: "{path}"' in route]


@pytest.mark.parametrize(
    ("template", "matches", "does_not"),
    [
        ("/api/v1/meetings", ["/api/v1/meetings"], ["/api/v1/meetings/", "/api/v1/meetingsx"]),
        ("/api/v1/{name=meetings/*}", ["/api/v1/meetings/abc"], ["/api/v1/meetings/abc:join"]),
        ("/api/v1/{name=meetings/*}:join", ["/api/v1/meetings/abc:join"], ["/api/v1/meetings/abc"]),
        ("/api/v1/{user.name=users/*}", ["/api/v1/users/me"], ["/api/v1/users/me/x"]),
        ("/api/v1/{parent=meetings/*}/polls", ["/api/v1/meetings/a/polls"], ["/api/v1/polls"]),
        ("/files/{name=**}", ["/files/a/b/c"], ["/files/"]),
        ("/.well-known/jwks.json", ["/.well-known/jwks.json"], ["/xwell-known/jwks.json"]),
    ],
)
def test_a_path_template_matches_its_paths_alone(
    template: str, matches: list[str], does_not: list[str]
) -> None:
    regex = re.compile(rest_regex(template))
    assert all(map(regex.fullmatch, matches))
    assert not any(map(regex.fullmatch, does_not))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_the_edge_routes_a_method_by_who_may_call_it(method: Method) -> None:
    routes = routes_to(method.path)
    if method.access == Access.ACCESS_SERVICE:
        assert not routes
        assert not method.rules
        return
    (route,) = routes
    open_to_all = method.access in (Access.ACCESS_PUBLIC, Access.ACCESS_TICKET)
    assert ("disabled: true" in route) is open_to_all
    assert ("requirement_name: user" in route) is not open_to_all


@pytest.mark.parametrize(
    ("name", "deadline"),
    [
        ("GetMeeting", "10S"),
        ("RecognizeSpeech", "110S"),
        ("GenerateSummary", "28S"),
        ("CatchUp", "28S"),
    ],
)
def test_a_rest_call_has_the_time_that_it_takes(name: str, deadline: str) -> None:
    (route,) = (each for each in ROUTES if each.startswith(f'"rest {name}"'))
    assert f'key: grpc-timeout, value: "{deadline}"' in route
    assert ("descriptor_value: ai" in route) == (deadline != "10S")


def test_every_rest_method_has_a_route_of_its_own() -> None:
    wanted = [(rule.verb, rule.regex) for method in METHODS for rule in method.rules]
    found = re.findall(r"regex: '([^']+)' }, headers: .*?exact: (\w+)", EDGE)
    assert sorted(wanted) == sorted((verb, regex) for regex, verb in found)


def test_only_reads_are_repeated_after_a_service_may_have_begun_them() -> None:
    for route in ROUTES:
        if ",unavailable" in route:
            assert "exact: GET" in route or re.search(r'^"grpc (Get|List)', route)


def test_the_mesh_routes_every_service() -> None:
    for service in {method.service for method in METHODS}:
        assert f'prefix: "/{service}/"' in MESH


def test_nothing_is_left_to_fill_in() -> None:
    assert "{{" not in CONFIGURATION
