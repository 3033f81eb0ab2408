"""The ai service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from parley.ai.v1 import ai_pb2_grpc

from chassis import channels, logs, server
from chassis.auth import ServiceIdentity
from chassis.keys import verifying
from chassis.stopping import stop
from services.ai import models
from services.ai.config import Config
from services.ai.desk import Desk
from services.ai.engines import Engines
from services.ai.library import Library
from services.ai.servicer import AiServicer
from services.ai.silero import SileroVad
from services.ai.text.servicer import text_servicer

FACE_TASKS = frozenset({"face-detection", "expression"})

log = logs.get("ai.app")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[server.Server]:
    """Run the ai service until the block ends.

    It waits for the model that finds voices and has the others prepared while it runs.
    """
    identity = ServiceIdentity.load(config, "ai")
    known = models.manifests(config.model_manifests)
    voices = models.choose(known, "voice-activity")
    path = await asyncio.to_thread(
        models.prepare, voices, config.models, lambda text, _: log.debug("model", detail=text)
    )
    keeper = models.Keeper(_wanted(known, config), config.models, config.model_manifests)
    threads = config.inference_threads
    with (
        ThreadPoolExecutor(1, "voice") as voice,
        ThreadPoolExecutor(1, "watching") as watching,
        ThreadPoolExecutor(1, "reading") as reading,
        ThreadPoolExecutor(threads, "inference") as inference,
    ):
        engines = Engines(
            SileroVad(path),
            voice,
            watching,
            reading,
            Desk(inference, threads),
            config.providers,
            emotions=config.emotions,
        )
        engines.has("voice-activity", voices)
        async with channels.mesh(config, identity) as mesh, text_servicer(config) as text:
            servicer = AiServicer(engines, keeper, Library(mesh), config.max_streams)
            servicers = {
                ai_pb2_grpc.add_AiServiceServicer_to_server: servicer,
                ai_pb2_grpc.add_TextServiceServicer_to_server: text,
            }
            async with (
                verifying(mesh) as verifier,
                server.serving(config, "ai", identity, verifier, servicers) as it,
                asyncio.TaskGroup() as group,
            ):
                beside = [group.create_task(keeper.run()), group.create_task(engines.load(keeper))]
                try:
                    yield it
                finally:
                    await stop(*beside)


def _wanted(known: list[models.Manifest], config: Config) -> list[models.Manifest]:
    tasks = set(config.model_tasks or models.TASKS)
    if unknown := sorted(tasks - set(models.TASKS)):
        raise models.ModelError(
            f"There is no task {unknown[0]}; there are {', '.join(models.TASKS)}."
        )
    return models.in_use(known, tasks if config.emotions else tasks - FACE_TASKS)
