"""The ai service with its real models, and a stand-in for the user service that signs its callers in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api.httpbody_pb2 import HttpBody
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.media.v1 import library_pb2, library_pb2_grpc
from parley.user.v1 import user_pb2_grpc

from services.ai import messages
from services.ai.app import running
from services.ai.config import Config
from tests.identities import as_callers, make_identities
from tests.user_keys import Keys, credentials

MODELS = Path(__file__).parents[1] / ".pytest_cache" / "models"
"""Kept from one run to the next; what is in it is checked each time."""
RATE = 16_000
PIECE_BYTES = 2_560


@dataclass(frozen=True, slots=True)
class AiStand:
    """`stub` and `text` call as the media service; `metadata` is a user's, `recordings` what is in that user's library."""

    stub: ai_pb2_grpc.AiServiceAsyncStub
    text: ai_pb2_grpc.TextServiceAsyncStub
    metadata: tuple[tuple[str, str], ...]
    recordings: dict[str, bytes]


class _Library(library_pb2_grpc.LibraryServiceServicer):
    """Gives a user's recordings to that user."""

    def __init__(self, owner: tuple[tuple[str, str], ...], recordings: dict[str, bytes]) -> None:
        self._owner = dict(owner)
        self._recordings = recordings

    async def DownloadMedia(
        self, request: library_pb2.DownloadMediaRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        asked = dict(context.invocation_metadata())
        content = self._recordings.get(request.name)
        if content is None or asked.get("authorization") != self._owner["authorization"]:
            info = ErrorInfo(reason="MEDIA_NOT_FOUND", domain="parley")
            status = Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="Not there.")
            status.details.add().Pack(info)
            await context.abort_with_status(rpc_status.to_status(status))
        for at in range(0, len(content or b""), 65_536):
            yield HttpBody(data=(content or b"")[at : at + 65_536])


@asynccontextmanager
async def ai_running(folder: Path, *tasks: str, **config: Any) -> AsyncIterator[AiStand]:
    """Run the service with the models of these tasks."""
    keys, signing = make_identities(folder), Ed25519PrivateKey.generate()
    caller_metadata, recordings = credentials(signing), dict[str, bytes]()
    async with _neighbours(signing, _Library(caller_metadata, recordings)) as mesh:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "mesh": mesh,
            "service_key": keys / "ai.key",
            "trust": keys / "trust.jwks",
            "drain_seconds": 0,
            "models": MODELS,
            "model_tasks": tasks or ("voice-activity",),
            **config,
        }
        async with (
            running(Config(**values)) as server,
            as_callers(f"127.0.0.1:{server.port}", keys) as channel,
        ):
            yield AiStand(
                ai_pb2_grpc.AiServiceStub(channel),
                ai_pb2_grpc.TextServiceStub(channel),
                caller_metadata,
                recordings,
            )


@asynccontextmanager
async def _neighbours(key: Ed25519PrivateKey, library: _Library) -> AsyncIterator[str]:
    """Publish the key that signs users' tokens, and be the library; yields the address."""
    server = grpc.aio.server()
    library_pb2_grpc.add_LibraryServiceServicer_to_server(library, server)
    user_pb2_grpc.add_AuthServiceServicer_to_server(Keys(key), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def start(*features: ai_pb2.AnalysisFeature.ValueType) -> ai_pb2.AnalyzeRequest:
    """Begin an analysis, of voice activity unless said otherwise."""
    wanted = features or (ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY,)
    return ai_pb2.AnalyzeRequest(start=ai_pb2.AnalysisStart(features=wanted))


def audio(pcm: bytes, seconds: float = 0.0) -> ai_pb2.AnalyzeRequest:
    """Give sound that stands at so many seconds of the track."""
    offset = messages.duration(seconds)
    return ai_pb2.AnalyzeRequest(audio=ai_pb2.AudioChunk(pcm=pcm, offset=offset))


def pieces(pcm: bytes) -> Iterator[ai_pb2.AnalyzeRequest]:
    """Give sound in pieces of 80 ms."""
    for at in range(0, len(pcm), PIECE_BYTES):
        yield audio(pcm[at : at + PIECE_BYTES], at / 2 / RATE)


__all__ = ["MODELS", "RATE", "AiStand", "ai_running", "audio", "pieces", "start"]
