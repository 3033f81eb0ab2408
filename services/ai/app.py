"""The ai service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from parley.ai.v1 import ai_pb2_grpc

from chassis import channels, logs, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.keys import published_keys
from services.ai import models
from services.ai.config import Config
from services.ai.servicer import AiServicer
from services.ai.silero import SileroVad

log = logs.get("ai.app")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[server.Server]:
    """Run the ai service until the block ends. Fetches what its cache lacks first."""
    identity = ServiceIdentity.load(config, "ai")
    manifest = models.find("voice-activity")
    path = await asyncio.to_thread(
        models.fetch, manifest, config.models, lambda line: log.info("model", detail=line)
    )
    with ThreadPoolExecutor(config.inference_threads, "inference") as executor:
        servicer = AiServicer(SileroVad(path), [manifest.label], executor, config.max_streams)
        servicers = {ai_pb2_grpc.add_AiServiceServicer_to_server: servicer}
        async with (
            channels.mesh(config, identity) as mesh,
            server.serving(
                config, "ai", identity, UserTokenVerifier(published_keys(mesh)), servicers
            ) as it,
        ):
            yield it
