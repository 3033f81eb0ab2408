"""The media library, as the ai service speaks to it: a caller's recording, fetched with the caller's own token."""

from __future__ import annotations

from typing import BinaryIO

import grpc
from parley.media.v1 import library_pb2, library_pb2_grpc

from chassis.channels import relayed
from services.ai.domain import AudioTooLong

MAX_BYTES = 1 << 30
TIMEOUT_SECONDS = 300.0


class Library:
    """Fetches recordings."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._stub: library_pb2_grpc.LibraryServiceAsyncStub = library_pb2_grpc.LibraryServiceStub(
            mesh
        )

    async def fetch(self, name: str, authorization: str, file: BinaryIO) -> None:
        """Write a recording (`media/{id}`) into a file. Raises what the library answers, AudioTooLong."""
        request = library_pb2.DownloadMediaRequest(name=name)
        metadata = (("authorization", authorization),)
        try:
            async for piece in self._stub.DownloadMedia(
                request, metadata=metadata, timeout=TIMEOUT_SECONDS
            ):
                file.write(piece.data)
                if file.tell() > MAX_BYTES:
                    raise AudioTooLong(text="The recording is larger than 1 GiB.")
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error
        file.seek(0)


__all__ = ["Library"]
