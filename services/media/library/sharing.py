"""With whom files are shared, as the meeting service knows: those who may read the chat messages that they are in."""

from __future__ import annotations

from uuid import UUID

import grpc
from parley.meeting.v1 import chat_pb2, chat_pb2_grpc

from chassis.channels import relayed
from services.media.library.domain import Media


class Sharing:
    """Asks the meeting service."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._sharing = chat_pb2_grpc.SharingServiceStub(mesh)

    async def is_shared(self, media: Media, user_id: UUID) -> bool:
        """Tell whether a file is shared with somebody. Raises what the meeting service answers, or Unavailable."""
        request = chat_pb2.CheckSharingRequest(
            media=media.name, owner=f"users/{media.owner_id}", user=f"users/{user_id}"
        )
        try:
            return bool((await self._sharing.CheckSharing(request)).shared)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from None


__all__ = ["Sharing"]
