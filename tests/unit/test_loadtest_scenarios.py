"""loadtest/scenarios/: one ghz file for each method that people can call, and each of them good."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.symbol_database import Default
from parley.ai.v1 import ai_pb2
from parley.media.v1 import library_pb2, media_pb2, node_pb2, recording_pb2, relay_pb2
from parley.meeting.v1 import (
    breakout_pb2,
    chat_pb2,
    meeting_pb2,
    notes_pb2,
    participant_pb2,
    person_pb2,
    poll_pb2,
    report_pb2,
    schedule_pb2,
    settings_pb2,
    transcript_pb2,
    webhook_pb2,
)
from parley.options.v1.options_pb2 import Access, access
from parley.signaling.v1 import signaling_pb2
from parley.user.v1 import (
    account_pb2,
    admin_pb2,
    api_key_pb2,
    credential_pb2,
    session_pb2,
    sign_in_pb2,
    user_pb2,
)

from loadtest.contract import Method, contract
from loadtest.runner import Requests
from loadtest.scenario import ROOT, Scenario, load, located
from loadtest.templates import Environment
from loadtest.variables import GIVEN, MAKERS, POOLS, Variables, makeable, maker_scenario

MODULES = (
    *(ai_pb2, library_pb2, media_pb2, node_pb2, recording_pb2, breakout_pb2, chat_pb2),
    *(
        meeting_pb2,
        notes_pb2,
        participant_pb2,
        person_pb2,
        poll_pb2,
        report_pb2,
        schedule_pb2,
        settings_pb2,
        transcript_pb2,
    ),
    *(webhook_pb2, signaling_pb2, account_pb2, admin_pb2, api_key_pb2, credential_pb2),
    *(session_pb2, sign_in_pb2, user_pb2, relay_pb2),
)
FILES = sorted((ROOT / "loadtest" / "scenarios").iterdir())
TOKENS = {
    Access.ACCESS_USER: {"LOAD_TOKEN", "LOAD_SPARE_TOKEN"},
    Access.ACCESS_ADMIN: {"LOAD_ADMIN_TOKEN"},
}
UUID = "3974e7b3-5946-4df5-bed3-8c3dc9a0be19"
MEETING = "meetings/abc-defg-hij"
ENVIRONMENT: Environment = {
    "LOAD_USERNAME": "load",
    "LOAD_PASSWORD": "correct horse",
    "LOAD_USER": f"users/{UUID}",
    "LOAD_SPARE_USER": f"users/{UUID}",
    "LOAD_API_KEY": f"users/me/apiKeys/{UUID}",
    "LOAD_API_KEY_SECRET": f"pk_{'x' * 43}",
    "LOAD_SESSION": f"users/me/sessions/{UUID}",
    "LOAD_MEETING": MEETING,
    "LOAD_NEW_MEETING": MEETING,
    "LOAD_SPARE_MEETING": MEETING,
    "LOAD_OTHER_MEETING": MEETING,
    "LOAD_UNWANTED_MEETING": MEETING,
    "LOAD_CANCELLED_MEETING": MEETING,
    "LOAD_PARTICIPANT": f"{MEETING}/participants/{UUID}",
    "LOAD_OTHER_PARTICIPANT": f"{MEETING}/participants/{UUID}",
    "LOAD_SPARE_PARTICIPANT": f"{MEETING}/participants/{UUID}",
    "LOAD_POLL": f"{MEETING}/polls/{UUID}",
    "LOAD_CHAT_MESSAGE": f"{MEETING}/chatMessages/{UUID}",
    "LOAD_SCHEDULED_MEETING": MEETING,
    "LOAD_CALENDAR_FEED": f"calendarFeeds/{'x' * 43}",
    "LOAD_INVITATION": f"{MEETING}/invitations/{UUID}",
    "LOAD_RECORDING": f"{MEETING}/recordings/{UUID}",
    "LOAD_WEBHOOK": f"webhooks/{UUID}",
    "LOAD_MEDIA": f"media/{UUID}",
    "LOAD_SESSION_TOKEN": "session.secret",
    "LOAD_TICKET": "a.ticket",
    "LOAD_TOKEN": "a.token",
    "LOAD_SPARE_TOKEN": "another.token",
    "LOAD_OTHER_TOKEN": "yet.another",
    "LOAD_ADMIN_TOKEN": "an.administrator",
    "LOAD_SPARE_REFRESH_TOKEN": "id.secret",
    "LOAD_REFRESH_TOKENS": "id.secret,id.secret",
    "LOAD_TICKETS": "a.ticket,b.ticket",
    "LOAD_SPARE_MEDIA": f"media/{UUID},media/{UUID}",
}
"""A value of the right form for every variable."""


def accesses() -> dict[str, Access.ValueType]:
    """Who may call each method, by its full name."""
    return {
        method.full_name: method.GetOptions().Extensions[access]
        for module in MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def opened(path: Path) -> tuple[Scenario, Method]:
    scenario = load(path)
    return scenario, contract(located(scenario.protoset)).method(scenario.call)


def typed(message: Message) -> Message:
    """Give a message as its stubs have it, so that its rules can be checked."""
    kind = Default().GetSymbol(message.DESCRIPTOR.full_name)
    made: Message = kind.FromString(message.SerializeToString())
    return made


def test_every_method_that_people_can_call_has_one_scenario() -> None:
    closed = (Access.ACCESS_SERVICE, Access.ACCESS_UNSPECIFIED)
    wanted = {name for name, who in accesses().items() if who not in closed}
    found = Counter(load(path).call for path in FILES)
    assert len(wanted) > 100
    assert set(found) == wanted
    assert set(found.values()) == {1}


def test_no_method_was_overlooked() -> None:
    """The modules above are all that have services, by the protoset."""
    methods = contract(ROOT / "gen" / "parley.binpb").methods()
    names = {each.descriptor.full_name for each in methods}
    assert {name for name in names if name.startswith("parley.")} == set(accesses())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_is_named_and_set_up_like_the_others(path: Path) -> None:
    scenario, method = opened(path)
    service = method.descriptor.containing_service.name
    assert path.name == f"{_snake(method.descriptor.name)}.json"
    assert scenario.name == f"{service}.{method.descriptor.name}"
    assert (scenario.host, scenario.insecure) == ("127.0.0.1:8000", True)
    assert scenario.protoset == "gen/parley.binpb"
    assert scenario.concurrency <= scenario.total <= 200
    assert scenario.count_errors == scenario.cuts_streams


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_shows_the_token_that_its_method_asks_for(path: Path) -> None:
    scenario, method = opened(path)
    who = accesses()[method.descriptor.full_name]
    assert scenario.tags["access"] == Access.Name(who).removeprefix("ACCESS_").lower()
    shown = Requests(Scenario(path, metadata=scenario.metadata), method, {}).variables
    assert shown <= TOKENS.get(who, set())
    assert bool(shown) == (who in TOKENS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_scenario_sends_is_what_its_method_takes(path: Path) -> None:
    scenario, method = opened(path)
    requests = Requests(scenario, method, ENVIRONMENT)
    for number in range(2):
        prepared = requests.prepared(number, "g0")
        assert all("{{" not in value for _, value in prepared.metadata)
        for message in prepared.messages:
            protovalidate.validate(typed(message))
            assert "{{" not in json_format.MessageToJson(message)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_uses_what_ghz_can_read(path: Path) -> None:
    """ghz's JSON knows no FieldMask as text, and our own as an object is not what protobuf's JSON has."""
    assert "update_mask" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_scenario_reads_can_be_made_or_is_given(path: Path) -> None:
    scenario, method = opened(path)
    variables = Requests(scenario, method, {}).variables
    assert variables <= makeable() | GIVEN
    if variables & POOLS:
        assert scenario.total <= 20, "ghz's pools have twenty"


def test_each_variable_is_made_once_and_what_that_needs_is_made_too() -> None:
    target = Scenario(Path("it"), host="127.0.0.1:1", insecure=True)
    gives = Counter(name for maker in MAKERS for name in maker.gives)
    assert set(gives.values()) == {1}
    for maker in MAKERS:
        method = contract(ROOT / "gen" / "parley.binpb").method(maker.call)
        requests = Requests(maker_scenario(maker, target), method, ENVIRONMENT)
        assert requests.variables <= makeable()
        for message in requests.prepared(0, "setup").messages:
            protovalidate.validate(typed(message))
        if maker.stand_in:
            assert len(maker.gives) == 1
    assert set(ENVIRONMENT) == makeable() | GIVEN


def test_what_is_given_is_used() -> None:
    assert (
        Variables(Scenario(Path("it")), {"LOAD_PASSWORD": "mine"}).values["LOAD_PASSWORD"] == "mine"
    )


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")
