"""Failures on request, for integrators' own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage

from tests.signaling_stand import standing
from tests.wire.signaling.test_conversation import reason_of
from tests.wire.signaling.test_resume import reason_of_end, resumed


async def test_nothing_fails_where_the_operator_has_not_allowed_it(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, _ = await stand.joined()
        await client.say("a", simulate_scenario={"scenario": "SCENARIO_DISCONNECT"})
        assert reason_of(await client.hear()) == "SIMULATION_OFF"
        await client.say("b", restart_ice={})
        assert (await client.hear()).reply_to == "b"


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_connection_breaks_and_is_resumed_or_refused(
    valkey: str, tmp_path: Path, is_refused: bool
) -> None:
    scenario = (
        signaling_pb2.SCENARIO_DISCONNECT_ON_RESUME
        if is_refused
        else signaling_pb2.SCENARIO_DISCONNECT
    )
    async with standing(valkey, tmp_path, processes=2, simulate=True) as stand:
        client, joined = await stand.joined()
        token = joined.joined.session_token
        stub = signaling_pb2_grpc.SignalingServiceStub(await stand.channel(1))
        wanted = signaling_pb2.SimulateScenario(scenario=scenario)
        message = ClientMessage(id="a", simulate_scenario=wanted)
        await stub.Send(signaling_pb2.SendRequest(session_token=token, message=message))
        accepted = await client.hear("accepted")
        assert accepted.reply_to == "a"
        assert await reason_of_end(client) == "SIMULATED"
        for _ in range(2):
            client = await resumed(stand, token, accepted.sequence)
            if is_refused:
                assert await reason_of_end(client) == "SESSION_EXPIRED"
            else:
                await client.hear("resumed")


async def test_the_media_node_is_lost_for_one(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, simulate=True) as stand:
        ann = stand.someone()
        client, _ = await stand.joined(ann)
        await client.say("a", simulate_scenario={"scenario": "SCENARIO_MEDIA_RESET"})
        assert (await client.hear()).reply_to == "a"
        await client.hear("media_reset")
        assert stand.media.removed.count(ann) == 1
        await client.say("b", start_media={})
        assert (await client.hear()).reply_to == "b"


async def test_everything_at_once(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, simulate=True) as stand:
        client, joined = await stand.joined()
        await client.say("a", simulate_scenario={"scenario": "SCENARIO_FULL_RECONNECT"})
        await client.hear("media_reset")
        assert await reason_of_end(client) == "SIMULATED"
        client = await resumed(stand, joined.joined.session_token, joined.sequence)
        assert await reason_of_end(client) == "SESSION_EXPIRED"
