"""CaptionService: what media asks, and tells, of speech and faces."""

from __future__ import annotations

from typing import Any

from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from services.meeting.analysis import analysis
from services.meeting.store import Store


class CaptionServicer(transcript_pb2_grpc.CaptionServiceServicer):
    """Says what is to be analysed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def GetAnalysis(
        self, request: transcript_pb2.GetAnalysisRequest, context: Any
    ) -> transcript_pb2.GetAnalysisResponse:
        """Say what is to be analysed in a room, and of whom."""
        code = request.meeting.removeprefix("meetings/")
        async with self._store.locked_meeting(code) as transaction:
            return analysis(transaction.meeting, await transaction.present())
