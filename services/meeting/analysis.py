"""What is analysed in a meeting, and of whom: the truth that media follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from parley.ai.v1 import ai_pb2
from parley.media.v1 import media_pb2
from parley.meeting.v1 import transcript_pb2

from services.meeting.domain import Meeting, Participant


def analysis(
    meeting: Meeting, present: Sequence[Participant]
) -> transcript_pb2.GetAnalysisResponse:
    """Say what is to be analysed, with those who are here or on their way."""
    settings = meeting.settings
    is_on = not meeting.is_over and not meeting.end_to_end_encrypted
    captioned = [each.name for each in present if not each.consent.captions_declined]
    read = [each.name for each in present if each.consent.emotions]
    return transcript_pb2.GetAnalysisResponse(
        revision=meeting.analysis_revision,
        voice_activity=meeting.voice_activity,
        captions=captioned if is_on and settings.captions else [],
        emotions=read if is_on and settings.emotions else [],
        transcript=is_on and (settings.transcript or settings.summary),
        recognition=ai_pb2.RecognitionConfig(
            language_code=settings.language_code, vocabulary=settings.vocabulary
        ),
        translation_language_codes=settings.translation_language_codes,
    )


def as_request(
    meeting: str, found: transcript_pb2.GetAnalysisResponse
) -> media_pb2.SetAnalysisRequest:
    """Say the same to media."""
    return media_pb2.SetAnalysisRequest(
        meeting=meeting,
        revision=found.revision,
        voice_activity=found.voice_activity,
        captions=found.captions,
        emotions=found.emotions,
        transcript=found.transcript,
        recognition=found.recognition,
        translation_language_codes=found.translation_language_codes,
    )


__all__ = ["analysis", "as_request"]
