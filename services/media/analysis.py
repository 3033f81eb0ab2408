"""What is to be analysed in a room, and of whom, as the meeting service says it."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.ai.v1 import ai_pb2
from parley.media.v1 import media_pb2
from parley.meeting.v1 import transcript_pb2


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole of it: what has a lower `revision` is older.

    Speech is recognised of those in `captions` alone, and faces are read of those in `emotions` alone.
    """

    revision: int = 0
    voice_activity: bool = False
    captions: frozenset[str] = frozenset()
    emotions: frozenset[str] = frozenset()
    recognition: ai_pb2.RecognitionConfig = field(default_factory=ai_pb2.RecognitionConfig)
    is_recorded: bool = False
    languages: tuple[str, ...] = ()


def analysis(
    told: media_pb2.SetAnalysisRequest | transcript_pb2.GetAnalysisResponse,
) -> Analysis:
    """Read what the meeting service says."""
    return Analysis(
        revision=told.revision,
        voice_activity=told.voice_activity,
        captions=frozenset(told.captions),
        emotions=frozenset(told.emotions),
        recognition=told.recognition,
        is_recorded=told.transcript,
        languages=tuple(told.translation_language_codes),
    )


__all__ = ["Analysis", "analysis"]
