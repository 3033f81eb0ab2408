"""Speaks to a room of a running stack in the media service's name, as what recognises speech and reads faces would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from parley.ai.v1 import ai_pb2
from parley.meeting.v1 import settings_pb2
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc

from chassis.channels import direct
from stack.state import State
from tests.identities import identity_in
from tests.running_stack import RunningStack


class RoomVoice:
    """Publishes events to one room. `participant` is `meetings/{code}/participants/{id}`."""

    def __init__(self, events: signaling_pb2_grpc.EventServiceAsyncStub, meeting: str) -> None:
        self._events = events
        self._meeting = meeting

    async def settings(self, **switches: object) -> None:
        """Tell that the meeting's settings are these; what is not named is off."""
        told = settings_pb2.Settings(name=f"{self._meeting}/settings", **switches)  # type: ignore[arg-type]
        await self._publish(
            signaling_pb2.ServerMessage(
                settings_changed=signaling_pb2.SettingsChanged(settings=told)
            )
        )

    async def caption(
        self,
        participant: str,
        segment: int,
        text: str,
        *,
        stable: int | None = None,
        translations: Mapping[str, str] | None = None,
    ) -> None:
        """Tell what somebody says; with `stable` it goes on, and so many characters stand."""
        speech = ai_pb2.SpeechHypothesis(
            segment=segment, text=text, final=stable is None, stable_length=stable or 0
        )
        caption = signaling_pb2.Caption(
            participant=participant,
            track_id=f"track of {participant}",
            speech=speech,
            translations=translations,
        )
        await self._publish(signaling_pb2.ServerMessage(caption=caption))

    async def emotion(
        self, participant: str, emotion: ai_pb2.Emotion.ValueType, confidence: float
    ) -> None:
        """Tell somebody, and nobody else, what their face shows."""
        detected = signaling_pb2.EmotionDetected(emotion=emotion, confidence=confidence)
        await self._publish(signaling_pb2.ServerMessage(emotion_detected=detected), participant)

    async def _publish(self, message: signaling_pb2.ServerMessage, only: str = "") -> None:
        event = signaling_pb2.Event(participant=only, message=message)
        request = signaling_pb2.PublishEventsRequest(meeting=self._meeting, events=[event])
        await self._events.PublishEvents(request)


@asynccontextmanager
async def room_voice(stack: RunningStack, code: str) -> AsyncIterator[RoomVoice]:
    """Speak to the room of a meeting."""
    identity = identity_in(State(stack.state).secrets, "media")
    target = f"127.0.0.1:{stack.process('signaling').ports['grpc']}"
    async with direct(target, identity) as channel:
        yield RoomVoice(signaling_pb2_grpc.EventServiceStub(channel), f"meetings/{code}")


__all__ = ["RoomVoice", "room_voice"]
