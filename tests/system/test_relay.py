"""Who reaches us in no other way is given a relay: its credentials, and whether it takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import time
from typing import Any

import pytest

from stack import reach, settings
from stack.state import State
from tests.reachable_stack import Reachable
from tests.relay import NAME, SECRET, coturn
from tests.rest import client, sign_up
from tests.running_stack import RunningStack, parley

LIFETIME_SECONDS = 43_200


def join(stack: RunningStack) -> dict[str, Any]:
    """Sign up, start a meeting and join it; returns what the browser is told."""
    with client(stack) as http:
        ann = sign_up(http)
        answer = ann.call("POST", f"/api/v1/{ann.create_meeting()}:join", json={})
        assert answer.status_code == 200, answer.text
        joined: dict[str, Any] = answer.json()
        return joined


def test_who_joins_gets_credentials_that_the_relay_can_check_and_that_run_out(
    reachable: Reachable,
) -> None:
    joined = join(reachable.stack)
    (server,) = joined["ice_servers"]
    ports = reachable.relay
    assert server["urls"] == [
        f"turn:127.0.0.1:{ports.plain}?transport=udp",
        f"turn:127.0.0.1:{ports.plain}?transport=tcp",
    ]
    expiry, _, participant = server["username"].partition(":")
    assert 0 < int(expiry) - time.time() <= LIFETIME_SECONDS
    assert joined["participant"]["name"].endswith(f"/{participant}")
    digest = hmac.new(SECRET.encode(), server["username"].encode(), hashlib.sha1).digest()
    assert server["credential"] == base64.b64encode(digest).decode()


def test_without_a_relay_there_are_no_credentials(stack: RunningStack) -> None:
    assert join(stack).get("ice_servers", []) == []


def test_the_secret_is_in_no_log(reachable: Reachable) -> None:
    join(reachable.stack)
    for log in (reachable.stack.state / "logs").glob("*.log*"):
        assert SECRET not in log.read_text(errors="replace"), log


def test_the_doctor_finds_every_way_to_a_stack_that_runs(reachable: Reachable) -> None:
    said = parley("doctor", "--state", str(reachable.stack.state)).stdout.splitlines()
    reached = {line.removeprefix("ok").strip() for line in said if line.startswith("ok")}
    for number, port in enumerate(reachable.stack.udp_ports):
        for kind in ("UDP", "TCP"):
            for host in ("127.0.0.1", "[::1]"):
                assert f"media-{number} over {kind} at {host}:{port} is reached" in reached
    https = reachable.stack.layout.port("nginx", "https")
    assert f"HTTPS at 127.0.0.1:{https} is reached" in reached
    relay = f"the relay turns:{NAME}:{https} over TCP through the HTTPS port"
    lines = [line for line in said if relay in line]
    assert [line.startswith("ok") for line in lines] == [coturn() is not None]


if coturn() is not None:  # else the credentials above are all that can be tested

    def test_a_relay_with_another_secret_is_found_out(reachable: Reachable) -> None:
        state = State(reachable.stack.state)
        text = state.settings.read_text()
        status = state.read_status()
        assert status is not None
        try:
            state.settings.write_text(text.replace(SECRET, "another"))
            lines = {line: well for well, line in reach.findings(state, status)}
        finally:
            state.settings.write_text(text)
        relays = [line for line, well in lines.items() if not well]
        assert len(relays) == len(settings.load(state.settings).turn.urls) + 1
        assert all("`secret` in parley.toml is not coturn's" in line for line in relays)

    @pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.2", "192.168.1.1", "203.0.113.9"])
    def test_a_relay_set_up_as_we_say_relays_to_nobody_but_the_workers(
        reachable: Reachable, peer: str
    ) -> None:
        """The denial comes before anything is sent to the peer."""
        port = str(reachable.relay.plain)
        who = ["-W", SECRET, "-u", f"eve-{peer}", "-e", peer]
        words = ["turnutils_uclient", *who, "-n", "1", "-p", port]
        done = subprocess.run([*words, "127.0.0.1"], capture_output=True, text=True, check=False)
        assert "403 (Forbidden IP)" in done.stdout
