"""The contracts keep what the design promises of every method."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import MethodDescriptorProto
from parley.options.v1 import options_pb2
from parley.options.v1.options_pb2 import Access

import services
from chassis.errors import DomainError
from stack import codegen, errorsdoc, openapi
from stack.contracts import Contracts
from stack.rest import rest_regex
from tests.identities import SERVICES

FOR_PEOPLE = {Access.ACCESS_PUBLIC, Access.ACCESS_USER, Access.ACCESS_ADMIN}

REST_NAMES = """
POST  /api/v1/auth/register                     Register
POST  /api/v1/auth/login                        Login
POST  /api/v1/auth/refresh                      Refresh
POST  /api/v1/auth/logout                       Logout
GET   /.well-known/jwks.json                    GetJsonWebKeySet
GET   /api/v1/{name=users/*}                    GetUser
PATCH /api/v1/{user.name=users/*}               UpdateUser
POST  /api/v1/meetings                          CreateMeeting
GET   /api/v1/meetings                          ListMeetings
GET   /api/v1/{name=meetings/*}                 GetMeeting
POST  /api/v1/{name=meetings/*}:join            JoinMeeting
POST  /api/v1/{name=meetings/*}:leave           LeaveMeeting
POST  /api/v1/{name=meetings/*}:end             EndMeeting
GET   /api/v1/{parent=meetings/*}/participants  ListParticipants
POST  /api/v1/media                             UploadMedia
GET   /api/v1/media                             ListMedia
GET   /api/v1/{name=media/*}                    GetMedia
GET   /api/v1/{name=media/*}:download           DownloadMedia
DELETE /api/v1/{name=media/*}                   DeleteMedia
POST  /api/v1/ai/speech:recognize               RecognizeSpeech
POST  /api/v1/ai/emotion:detect                 DetectEmotion
GET   /api/v1/ai/models                         ListModels
"""


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return Contracts.of(codegen.contracts())


def access(method: MethodDescriptorProto) -> int:
    value: int = method.options.Extensions[options_pb2.access]
    return value


def routes(contracts: Contracts) -> Iterator[tuple[str, str, str]]:
    """Every REST rule: verb, path template, method."""
    for _, method in contracts.methods():
        for rule in openapi.rules(method):
            yield str(rule.WhichOneof("pattern")).upper(), openapi.rule_path(rule), method.name


def test_every_method_says_who_may_call_it(contracts: Contracts) -> None:
    assert not [
        f"{service}.{method.name}"
        for service, method in contracts.methods()
        if access(method) == Access.ACCESS_UNSPECIFIED
    ]


def test_internal_methods_and_no_others_say_which_services_may_call_them(
    contracts: Contracts,
) -> None:
    for service, method in contracts.methods():
        callers = set(method.options.Extensions[options_pb2.callers])
        assert bool(callers) == (access(method) == Access.ACCESS_SERVICE), service + method.name
        assert callers <= set(SERVICES), f"{service}.{method.name}"


def test_what_people_may_call_has_a_rest_name_unless_it_streams_both_ways(
    contracts: Contracts,
) -> None:
    for service, method in contracts.methods():
        both_ways = method.client_streaming and method.server_streaming
        wanted = access(method) in FOR_PEOPLE and not both_ways
        assert bool(list(openapi.rules(method))) == wanted, f"{service}.{method.name}"


def test_every_rest_name_is_under_the_versioned_api(contracts: Contracts) -> None:
    elsewhere = {path for _, path, _ in routes(contracts) if not path.startswith("/api/v1/")}
    assert elsewhere == {"/.well-known/jwks.json"}


def test_no_two_methods_answer_the_same_request(contracts: Contracts) -> None:
    known = [(verb, re.compile(rest_regex(path)), name) for verb, path, name in routes(contracts)]
    for verb, path, name in routes(contracts):
        example = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", path).replace("*", "x")
        answering = [
            it for known_verb, regex, it in known if known_verb == verb and regex.fullmatch(example)
        ]
        assert answering == [name], f"{verb} {path}"


@pytest.mark.parametrize("line", REST_NAMES.strip().splitlines())
def test_a_promised_rest_name_is_there(contracts: Contracts, line: str) -> None:
    verb, path, name = line.split()
    assert (verb, path, name) in set(routes(contracts))


def test_a_sign_in_gives_what_clients_were_promised(contracts: Contracts) -> None:
    response = contracts.messages["parley.user.v1.LoginResponse"]
    promised = ["user", "access_token", "refresh_token", "expires_in"]
    assert [it.name for it in response.field] == promised


def test_a_join_gives_what_clients_were_promised(contracts: Contracts) -> None:
    response = contracts.messages["parley.meeting.v1.JoinMeetingResponse"]
    promised = ["meeting", "participant", "ticket", "signaling_url", "ice_servers"]
    assert [it.name for it in response.field] == promised


def test_every_list_is_paged_or_says_that_it_is_short(contracts: Contracts) -> None:
    for service, method in contracts.methods():
        if not method.name.startswith(("List", "Search")):
            continue
        asked = {it.name for it in contracts.messages[method.input_type[1:]].field}
        given = {it.name for it in contracts.messages[method.output_type[1:]].field}
        paged = {"page_size", "page_token"} <= asked and "next_page_token" in given
        comment = contracts.comments[f"{service}.{method.name}"]
        assert paged or "one page" in comment, f"{service}.{method.name}"


def servicers() -> Iterator[ModuleType]:
    for service in pkgutil.iter_modules(services.__path__):
        folder = importlib.import_module(f"services.{service.name}")
        if any(module.name == "servicer" for module in pkgutil.iter_modules(folder.__path__)):
            yield importlib.import_module(f"services.{service.name}.servicer")


def built_methods() -> set[str]:
    """The methods that some service has code for: those that its servicers take over from the generated ones."""
    built = set()
    for module in servicers():
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            for base in kind.__mro__[1:]:
                if base.__module__.endswith("_pb2_grpc"):
                    package = base.__module__.rpartition(".")[0]
                    service = base.__name__.removesuffix("Servicer")
                    taken_over = vars(base).keys() & vars(kind).keys()
                    built |= {f"{package}.{service}.{it}" for it in taken_over if it[0] != "_"}
    return built


def test_what_is_built_is_in_the_contracts(contracts: Contracts) -> None:
    built = built_methods()
    assert "parley.user.v1.AuthService.Login" in built
    assert built <= {f"{service}.{method.name}" for service, method in contracts.methods()}


def test_a_built_method_names_only_reasons_that_the_code_has(contracts: Contracts) -> None:
    known = {(it.code, it.reason) for it in errorsdoc.reasons()}
    built = built_methods()
    unknown = [
        f"{name}: {code} {reason}"
        for name in sorted(built)
        for code, reasons in openapi.named_errors(contracts.comments[name]).items()
        for reason in reasons
        if (code, reason) not in known
    ]
    assert not unknown


def test_every_reason_of_a_service_is_named_in_its_contracts(contracts: Contracts) -> None:
    for it in errorsdoc.reasons():
        if it.origin not in (errorsdoc.EVERYWHERE, errorsdoc.GATEWAY):
            said = (
                text
                for name, text in contracts.comments.items()
                if name.startswith(f"parley.{it.origin}.")
            )
            assert any(re.search(rf"\b{it.reason}\b", text) for text in said), (
                f"Name {it.reason} in the comment of the {it.origin} method that answers it."
            )


def test_the_page_of_errors_is_the_one_that_the_code_makes() -> None:
    kept = codegen.ROOT / codegen.ERRORS
    assert kept.read_text() == errorsdoc.text(), "Run ./parley gen."


def test_the_page_of_errors_leaves_out_what_tests_declare() -> None:
    class OnlyInThisTest(DomainError):
        """Never."""

        reason = "ONLY_IN_THIS_TEST"

    assert OnlyInThisTest.reason not in errorsdoc.text()
