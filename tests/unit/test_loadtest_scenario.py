"""Reading ghz's configuration files: what is taken, and what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.contract import Contract, ContractError, contract
from loadtest.runner import Requests
from loadtest.scenario import MOST_CALLS, ROOT, Scenario, ScenarioError, load, located, seconds

LEAST = {"call": "a.B.C", "protoset": "gen/parley.binpb", "host": "127.0.0.1:1"}
LOGIN = "parley.user.v1.AuthService.Login"
CONNECT = "parley.signaling.v1.SignalingService.Connect"


def written(folder: Path, document: object, name: str = "it.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def requests(call: str, data: Any, **environment: str) -> Requests:
    method = contract(ROOT / "gen" / "parley.binpb").method(call)
    return Requests(Scenario(Path("it.json"), call, data=data), method, environment)


def test_what_is_left_out_is_as_with_ghz(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, LEAST))
    assert (scenario.total, scenario.concurrency, scenario.connections) == (200, 50, 1)
    assert (scenario.rps, scenario.timeout, scenario.insecure) == (0, 20.0, False)
    assert scenario.most_calls == 200


def test_all_keys_are_read(tmp_path: Path) -> None:
    data = written(tmp_path, [{"a": 1}, {"a": 2}], "data.json")
    document = {
        **LEAST,
        "name": "N",
        "insecure": True,
        "cacert": "ca.pem",
        "total": 10,
        "concurrency": 4,
        "connections": 2,
        "rps": 5,
        "max-duration": "1m30s",
        "timeout": "500ms",
        "stream-interval": "20ms",
        "stream-call-count": 3,
        "stream-call-duration": "2s",
        "skipFirst": 1,
        "count-errors": True,
        "data-file": str(data),
        "metadata": {"k": "v"},
        "tags": {"t": "u"},
    }
    scenario = load(written(tmp_path, document))
    assert (scenario.name, scenario.insecure, scenario.cacert) == ("N", True, "ca.pem")
    assert (scenario.max_duration, scenario.timeout) == (90.0, 0.5)
    assert (scenario.stream_interval, scenario.stream_call_duration) == (0.02, 2.0)
    assert scenario.data == [{"a": 1}, {"a": 2}]
    assert (scenario.metadata, scenario.tags) == ({"k": "v"}, {"t": "u"})
    assert (scenario.most_calls, scenario.most_seconds) == (10, 90.0)
    assert (scenario.skip_first, scenario.count_errors, scenario.cuts_streams) == (1, True, True)


def test_with_a_duration_the_total_no_longer_counts(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, {**LEAST, "duration": "2s", "total": 5}))
    assert (scenario.most_calls, scenario.most_seconds) == (MOST_CALLS, 2.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"call": ""}, "'call' is missing"),
        ({"host": ""}, "'host' is missing"),
        ({"protoset": ""}, "'protoset' is missing"),
        ({"Total": 5}, "'Total' is no key of ghz"),
        ({"proto": "a.proto"}, "'proto' is not done here"),
        ({"total": "5"}, "'total': '5' is not a whole number"),
        ({"total": True}, "'total': True is not a whole number"),
        ({"total": 0}, "'total' must be from 1"),
        ({"total": MOST_CALLS + 1}, "'total' must be from 1"),
        ({"concurrency": 501}, "'concurrency' must be from 1"),
        ({"rps": 10_001}, "'rps' must be from 0"),
        ({"duration": "11m"}, "'duration' must be from 0"),
        ({"max-duration": "11m"}, "'max-duration' must be from 0"),
        ({"timeout": "0"}, "'timeout' must be above 0"),
        ({"timeout": 10}, "'timeout': 10 is not a duration"),
        ({"concurrency": 2, "connections": 3}, "must not be more than 'concurrency'"),
        ({"insecure": "yes"}, "'insecure': 'yes' is neither true nor false"),
        ({"data": "text"}, "'data': it is neither"),
        ({"data": []}, "'data': it is neither"),
        ({"metadata": {"k": 1}}, "'metadata': it is not an object of strings"),
        ({"data-file": "no/such/file.json"}, "no/such/file.json"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = written(tmp_path, {**LEAST, **change})
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_what_is_no_json_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for path in (
        tmp_path / "broken.json",
        tmp_path / "missing.json",
        written(tmp_path, [], "array.json"),
        written(tmp_path, LEAST, "it.toml"),
    ):
        with pytest.raises(ScenarioError, match=path.name):
            load(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10s", 10.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("20ms", 0.02), ("3us", 3e-6), ("0", 0.0)],
)
def test_durations_are_go_s(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "10 s", "1d", None, 1.5])
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


def test_paths_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("gen/parley.binpb") == ROOT / "gen" / "parley.binpb"
    written(tmp_path, {}, "mine.json")
    assert located("mine.json") == Path("mine.json")


def test_a_method_is_found_by_either_spelling() -> None:
    found = contract(ROOT / "gen" / "parley.binpb")
    for call in (LOGIN, "parley.user.v1.AuthService/Login"):
        assert found.method(call).path == "/parley.user.v1.AuthService/Login"


@pytest.mark.parametrize("call", ["", "Login", "parley.user.v1.AuthService.NoSuch", "a.B.C"])
def test_a_method_that_is_not_there_is_refused(call: str) -> None:
    with pytest.raises(ContractError, match="has no method"):
        contract(ROOT / "gen" / "parley.binpb").method(call)


def test_what_is_no_protoset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.binpb").write_bytes(b"\xff\xff\xff")
    for name in ("broken.binpb", "missing.binpb"):
        with pytest.raises(ContractError, match=name):
            Contract(tmp_path / name)


def test_calls_take_the_objects_of_an_array_in_turn() -> None:
    made = requests(LOGIN, [{"password": "a"}, {"password": "{{.RequestNumber}}"}])
    sent = [[str(m) for m in made.prepared(number, "w").messages] for number in range(4)]
    assert sent == [[f'password: "{each}"\n'] for each in ("a", "1", "a", "3")]


def test_a_stream_of_messages_is_all_of_the_array() -> None:
    made = requests(CONNECT, [{"join": {"ticket": "{{env `T`}}"}}, {"leave": {}}], T="a ticket")
    first, second = made.prepared(0, "w").messages
    assert 'ticket: "a ticket"' in str(first)
    assert str(second) == "leave {\n}\n"
    assert made.variables == {"T"}


def test_data_that_is_not_the_method_s_message_is_told() -> None:
    with pytest.raises(ScenarioError, match=r"it.json: call 0: the data is no .*LoginRequest"):
        requests(LOGIN, {"user": "ann"}).prepared(0, "w")
    with pytest.raises(ScenarioError, match=r"it.json: .*upper"):
        requests(LOGIN, {"password": "{{upper `a`}}"})
