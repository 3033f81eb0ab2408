"""The five services as processes of the stack: `python -m services.<svc>` and the environment that each needs."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stack import commands, postgres, ready, valkey
from stack.secrets import Secrets
from stack.settings import Settings
from stack.state import State
from stack.supervisor import Unit
from stack.topology import Process, Topology

ROOT = Path(__file__).resolve().parent.parent

WITH_DATABASE = {"user": "parley_user", "meeting": "parley_meeting", "library": "parley_media"}
WITH_REDIS = frozenset({"signaling", "media"})
MODULES = {"library": "services.media.library"}
LOOPBACK = ("127.0.0.1", "::1")
OWN_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where other workers of this machine reach one that listens there."""
WITH_EMOTIONS = frozenset({"meeting", "ai"})
FIRST_TASK = "voice-activity"
"""What the ai service does not start without; it has the other models built while it runs."""
DRAIN_SECONDS = "1.5"
"""Envoy asks every half second, and looks away when it was refused twice."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the services of a stack are told. `advertise` are the addresses that go into media candidates."""

    layout: Topology
    state: State
    secrets: Secrets
    settings: Settings
    public_url: str
    advertise: tuple[str, ...]

    def units(self) -> list[Unit]:
        """Say how each process of each service is run."""
        return [self.unit(process) for process in self.layout.processes if "grpc" in process.ports]

    def unit(self, seat: Process, name: str = "") -> Unit:
        """Say how a service is run in a seat, under the seat's name or that of the process that it follows there."""
        environment = self._environment(seat)

        async def is_ready() -> bool:
            return await ready.grpc_serving(environment["PARLEY_LISTEN"])

        async def build_first_model() -> None:
            build = [sys.executable, "-m", "services.ai.models", "build", "--task", FIRST_TASK]
            await commands.run(build, ROOT, {**os.environ, **environment})

        has_models = "PARLEY_MODELS" in environment
        return Unit(
            name or seat.name,
            [sys.executable, "-m", MODULES.get(seat.service, f"services.{seat.service}")],
            is_ready,
            seat.ports,
            seat.needs,
            environment,
            before=build_first_model if has_models else None,
            preparation="preparing its first model; ./parley models tells how far the others are"
            if has_models
            else "",
        )

    def _environment(self, seat: Process) -> dict[str, str]:
        service, layout = seat.service, self.layout
        values = {
            "PARLEY_LISTEN": f"127.0.0.1:{seat.ports['grpc']}",
            "PARLEY_METRICS_LISTEN": f"127.0.0.1:{seat.ports['metrics']}",
            "PARLEY_MESH": f"127.0.0.1:{layout.port('envoy', 'mesh')}",
            "PARLEY_SERVICE_KEY": str(self.secrets.key(_identity(service))),
            "PARLEY_TRUST": str(self.secrets.trust),
            "PARLEY_PUBLIC_URL": self.public_url,
            "PARLEY_DRAIN_SECONDS": DRAIN_SECONDS,
            "MALLOC_ARENA_MAX": "2",  # glibc's many arenas cost 40 MB a process, and win nothing here
        }
        if database := WITH_DATABASE.get(service):
            port = layout.port("postgres", "sql")
            password = self.secrets.password(database)
            values["PARLEY_DATABASE_URL"] = postgres.url(port, database, password)
        if service in WITH_REDIS:
            port = layout.port("valkey", "redis")
            values["PARLEY_REDIS_URL"] = valkey.url(port, self.secrets.password("valkey"))
        if "websocket" in seat.ports:
            values["PARLEY_WEBSOCKET_LISTEN"] = f"127.0.0.1:{seat.ports['websocket']}"
            values["PARLEY_ORIGINS"] = ",".join(self.settings.cors.origins)
        if "udp" in seat.ports:
            values["PARLEY_NODE_ID"] = seat.name
            host = media_host(self.advertise)
            bracketed = f"[{host}]" if ":" in host else host
            values["PARLEY_UDP_LISTEN"] = f"{bracketed}:{seat.ports['udp']}"
            values["PARLEY_ADVERTISE"] = ",".join(self.advertise)
            values["PARLEY_RELAY_ADVERTISE"] = OWN_LOOPBACK.get(host, host)
            values["PARLEY_PROBE_SECRET"] = self.secrets.password("probe")
            values["PARLEY_LAST_N"] = str(self.settings.media.last_n)
        own = {"user": self._accounts, "meeting": self._meetings, "library": self._objects}
        if service in own:
            values |= own[service]()
        if service in WITH_EMOTIONS:
            values["PARLEY_EMOTIONS"] = str(self.settings.ai.emotions).lower()
        if service == "ai":
            values |= models(self.state)
            values["OPENBLAS_NUM_THREADS"] = (
                "1"  # numpy's threads would take the media workers' cores
            )
            if self.settings.ai.tasks:
                values["PARLEY_MODEL_TASKS"] = ",".join(self.settings.ai.tasks)
            values |= self._language_model()
        return values

    def _accounts(self) -> dict[str, str]:
        must_verify = str(self.settings.accounts.verify_email).lower()
        return {"PARLEY_VERIFY_EMAIL": must_verify, **self._mail(), **self._identity_providers()}

    def _meetings(self) -> dict[str, str]:
        webhooks = self.settings.webhooks
        return {
            "PARLEY_WEBHOOK_PRIVATE": str(webhooks.private_addresses).lower(),
            "PARLEY_WEBHOOK_HTTP": str(webhooks.http).lower(),
            **self._turn(),
            **self._mail(),
        }

    def _mail(self) -> dict[str, str]:
        mail = self.settings.mail
        return {
            "PARLEY_SMTP_HOST": mail.host,
            "PARLEY_SMTP_PORT": str(mail.port),
            "PARLEY_SMTP_SECURITY": mail.security,
            "PARLEY_SMTP_USERNAME": mail.username,
            "PARLEY_SMTP_PASSWORD": mail.password,
            "PARLEY_MAIL_FROM": mail.sender,
            "PARLEY_OUTBOX": str(self.state.outbox),
        }

    def _identity_providers(self) -> dict[str, str]:
        providers = [
            {**asdict(each), "id": name, "display_name": each.display_name or name}
            for name, each in self.settings.identity_providers.items()
        ]
        return {"PARLEY_IDENTITY_PROVIDERS": json.dumps(providers)} if providers else {}

    def _turn(self) -> dict[str, str]:
        turn = self.settings.turn
        if not turn.urls:
            return {}
        return {
            "PARLEY_TURN_URLS": ",".join(turn.urls),
            "PARLEY_TURN_SECRET": turn.secret,
            "PARLEY_TURN_SECONDS": str(turn.lifetime),
        }

    def _language_model(self) -> dict[str, str]:
        ai = self.settings.ai
        if not ai.llm_url:
            return {}
        named = {"PARLEY_LLM_URL": ai.llm_url, "PARLEY_LLM_MODEL": ai.llm_model}
        return {**named, "PARLEY_LLM_KEY": ai.llm_key} if ai.llm_key else named

    def _objects(self) -> dict[str, str]:
        objects = self.settings.objects
        if not objects.url:
            return {"PARLEY_OBJECT_STORE": f"file://{library(self.state)}"}
        return {
            "PARLEY_OBJECT_STORE": objects.url,
            "PARLEY_S3_ENDPOINT": objects.endpoint,
            "PARLEY_S3_REGION": objects.region,
            "PARLEY_S3_ACCESS_KEY": objects.access_key,
            "PARLEY_S3_SECRET_KEY": objects.secret_key,
        }


def _identity(service: str) -> str:
    """Name whose key a process signs with: the media library is the media service's."""
    return "media" if service == "library" else service


def library(state: State) -> Path:
    """Make the folder of people's files, which Nginx's workers may read: as root they are `nobody`."""
    state.library.mkdir(exist_ok=True)
    state.library.chmod(0o750)
    if os.geteuid() == 0:
        shutil.chown(state.library, group=pwd.getpwnam("nobody").pw_gid)
    return state.library


def models(state: State) -> dict[str, str]:
    """Say where models are built, and where the operator's own manifests lie, to the ai service or its tool."""
    return {
        "PARLEY_MODELS": str(state.cache / "models"),
        "PARLEY_MODEL_MANIFESTS": str(state.manifests),
    }


def media_host(advertise: Sequence[str]) -> str:
    """Choose where media listens: on loopback alone when nobody from outside is to come, and on IPv6 only if asked to."""
    if len(advertise) == 1 and advertise[0] in LOOPBACK:
        return advertise[0]
    return "::" if any(":" in address for address in advertise) else "0.0.0.0"


__all__ = ["LOOPBACK", "Services", "library", "media_host", "models"]
