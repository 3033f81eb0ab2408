"""The five services as processes of the stack: `python -m services.<svc>` and the environment that each needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import commands, postgres, ready, valkey
from stack.secrets import Secrets
from stack.state import State
from stack.supervisor import Unit
from stack.topology import Process, Topology

ROOT = Path(__file__).resolve().parent.parent

WITH_DATABASE = frozenset({"user", "meeting"})
WITH_REDIS = frozenset({"signaling", "media"})
DRAIN_SECONDS = "0.5"
"""One machine has one of each service, so nobody waits for a balancer to look away."""


def units(
    layout: Topology, state: State, secrets: Secrets, public_url: str, advertise: str
) -> list[Unit]:
    """Say how each service is run. `advertise` is the address that goes into media candidates."""
    return [
        _unit(process, _environment(process, layout, state, secrets, public_url, advertise))
        for process in layout.processes
        if "grpc" in process.ports
    ]


def _unit(process: Process, environment: Mapping[str, str]) -> Unit:
    async def is_ready() -> bool:
        return await ready.grpc_serving(environment["PARLEY_LISTEN"])

    async def fetch_models() -> None:
        fetch = [sys.executable, "-m", "services.ai.models", "fetch"]
        await commands.run(fetch, ROOT, {**os.environ, **environment})

    has_models = "PARLEY_MODELS" in environment
    return Unit(
        process.name,
        [sys.executable, "-m", f"services.{process.service}"],
        is_ready,
        process.ports,
        process.needs,
        environment,
        before=fetch_models if has_models else None,
        preparation="fetching the models that are not in the cache" if has_models else "",
    )


def _environment(
    process: Process,
    layout: Topology,
    state: State,
    secrets: Secrets,
    public_url: str,
    advertise: str,
) -> dict[str, str]:
    service = process.service
    values = {
        "PARLEY_LISTEN": f"127.0.0.1:{process.ports['grpc']}",
        "PARLEY_METRICS_LISTEN": f"127.0.0.1:{process.ports['metrics']}",
        "PARLEY_MESH": f"127.0.0.1:{layout.port('envoy', 'mesh')}",
        "PARLEY_SERVICE_KEY": str(secrets.key(service)),
        "PARLEY_TRUST": str(secrets.trust),
        "PARLEY_PUBLIC_URL": public_url,
        "PARLEY_DRAIN_SECONDS": DRAIN_SECONDS,
    }
    if service in WITH_DATABASE:
        database = f"parley_{service}"
        port = layout.port("postgres", "sql")
        values["PARLEY_DATABASE_URL"] = postgres.url(port, database, secrets.password(database))
    if service in WITH_REDIS:
        port = layout.port("valkey", "redis")
        values["PARLEY_REDIS_URL"] = valkey.url(port, secrets.password("valkey"))
    if "websocket" in process.ports:
        values["PARLEY_WEBSOCKET_LISTEN"] = f"127.0.0.1:{process.ports['websocket']}"
    if "udp" in process.ports:
        values["PARLEY_NODE_ID"] = process.name
        values["PARLEY_UDP_LISTEN"] = f"{udp_host(advertise)}:{process.ports['udp']}"
        values["PARLEY_ADVERTISE"] = advertise
    if service == "ai":
        values["PARLEY_MODELS"] = str(state.cache / "models")
    return values


def udp_host(advertise: str) -> str:
    """Choose where media listens: on loopback alone when nobody from outside is to come."""
    return "127.0.0.1" if advertise == "127.0.0.1" else "0.0.0.0"


__all__ = ["udp_host", "units"]
