"""What the ai service tells, as messages."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from parley.ai.v1 import ai_pb2

from services.ai.dictation import Hypothesis
from services.ai.faces.reading import EXPRESSIONS, Face
from services.ai.models import Manifest, State
from services.ai.models.manifest import ANY_LANGUAGE
from services.ai.speech import Settings
from services.ai.transcription import Progress
from services.ai.vad import Change
from services.ai.whisper.alignment import Word


def duration(seconds: float) -> Duration:
    """Show seconds."""
    shown = Duration()
    shown.FromMicroseconds(round(seconds * 1_000_000))
    return shown


def settings(config: ai_pb2.RecognitionConfig) -> Settings:
    """Read how speech is to be recognised."""
    return Settings(config.language_code, tuple(config.vocabulary), config.word_times)


def voice_activity(change: Change) -> ai_pb2.VoiceActivity:
    """Show that speech has begun or ended."""
    return ai_pb2.VoiceActivity(
        speaking=change.speaking,
        offset=duration(change.offset),
        probability=change.probability,
    )


def speech(hypothesis: Hypothesis) -> ai_pb2.SpeechHypothesis:
    """Show what is being said."""
    return ai_pb2.SpeechHypothesis(
        segment=hypothesis.number,
        text=hypothesis.text,
        stable_length=hypothesis.stable_length,
        final=hypothesis.is_final,
        start_time=duration(hypothesis.start),
        end_time=duration(hypothesis.end),
        confidence=hypothesis.confidence,
        language_code=hypothesis.language,
        words=[word(each) for each in hypothesis.words],
    )


def segment(hypothesis: Hypothesis) -> ai_pb2.SpeechSegment:
    """Show a part of what is said in a recording."""
    return ai_pb2.SpeechSegment(
        text=hypothesis.text,
        start_time=duration(hypothesis.start),
        end_time=duration(hypothesis.end),
        confidence=hypothesis.confidence,
        words=[word(each) for each in hypothesis.words],
    )


def face(read: Face) -> ai_pb2.Face:
    """Show a face and its expression."""
    box = read.box
    return ai_pb2.Face(
        box=ai_pb2.Box(x=box.x, y=box.y, width=box.width, height=box.height),
        emotion=ai_pb2.Emotion.Value(f"EMOTION_{read.expression.upper()}"),
        confidence=read.confidence,
        scores=dict(zip(EXPRESSIONS, map(float, read.scores), strict=True)),
    )


def model(manifest: Manifest, state: State) -> ai_pb2.Model:
    """Show a model and where it stands."""
    return ai_pb2.Model(
        name=f"models/{manifest.name}",
        task=ai_pb2.ModelTask.Value(f"MODEL_TASK_{_upper(manifest.task)}"),
        version=manifest.version,
        license=manifest.licence,
        language_codes=[each for each in manifest.languages if each != ANY_LANGUAGE],
        state=ai_pb2.ModelState.Value(f"MODEL_STATE_{state.name}"),
    )


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def progress(made: Progress) -> ai_pb2.RecognizeLongSpeechResponse:
    """Show how far a recording is, and what was said there."""
    return ai_pb2.RecognizeLongSpeechResponse(
        segments=[segment(each) for each in made.segments],
        done=duration(made.done),
        duration=duration(made.duration),
        language_code=next((each.language for each in made.segments), ""),
    )


def word(timed: Word) -> ai_pb2.Word:
    """Show a word and when it was said."""
    return ai_pb2.Word(
        text=timed.text, start_time=duration(timed.start), end_time=duration(timed.end)
    )


__all__ = [
    "duration",
    "face",
    "model",
    "progress",
    "segment",
    "settings",
    "speech",
    "voice_activity",
    "word",
]
