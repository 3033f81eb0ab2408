"""What analyses: networks, the threads they run in, and the models of speech and faces as they become ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from chassis import logs
from services.ai.desk import Desk
from services.ai.domain import EmotionsNotAllowed, LanguageNotSupported, ModelNotReady
from services.ai.faces.detector import BlazeFace
from services.ai.faces.expressions import ExpressionNetwork
from services.ai.faces.reading import FaceReader
from services.ai.models import Keeper, Manifest
from services.ai.models.manifest import ANY_LANGUAGE
from services.ai.speech import Recogniser, WhisperRecogniser
from services.ai.vad import Network
from services.ai.whisper.model import Whisper

RETRY_SECONDS = 5.0

log = logs.get("ai.engines")


@dataclass(slots=True)
class Engines:
    """`voice` runs voice activity, `watching` looks for faces, and `reading` is for files, so that none waits for others.

    `desk` gives turns to what recognises speech. `emotions` is the operator's policy.

    `recogniser` is None until the model of any language is ready; those of one language join it as they are.
    """

    network: Network
    voice: Executor
    watching: Executor
    reading: Executor
    desk: Desk
    providers: Sequence[str] = ("CPUExecutionProvider",)
    recogniser: Recogniser | None = None
    emotions: bool = False
    faces: FaceReader | None = None
    _labels: dict[str, list[str]] = field(default_factory=dict)

    def has(self, task: str, manifest: Manifest) -> None:
        """Say which model a task is done with."""
        self._labels.setdefault(task, []).append(manifest.label)

    def labels(self, task: str) -> Sequence[str]:
        """List the models of a task, `name@version`."""
        return self._labels.get(task, ())

    def recogniser_of(self, language: str) -> Recogniser:
        """Get what recognises a language, BCP 47 or empty. Raises ModelNotReady, LanguageNotSupported."""
        if self.recogniser is None:
            raise ModelNotReady(retry_after=RETRY_SECONDS)
        if language and not self.recogniser.knows(language):
            raise LanguageNotSupported(language=language)
        return self.recogniser

    def face_reader(self) -> FaceReader:
        """Get what reads expressions. Raises EmotionsNotAllowed, ModelNotReady."""
        if not self.emotions:
            raise EmotionsNotAllowed
        if self.faces is None:
            raise ModelNotReady(retry_after=RETRY_SECONDS)
        return self.faces

    async def load(self, keeper: Keeper) -> None:
        """Load the models of speech and of faces as they become ready."""
        speech = [each for each in keeper.manifests if each.task == "speech"]
        own: dict[str, Whisper] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load_faces(keeper))
            for manifest in speech:
                group.create_task(self._load_speech(keeper, manifest, own))

    async def _load_faces(self, keeper: Keeper) -> None:
        by_task = {each.task: each for each in keeper.manifests}
        detection, expression = by_task.get("face-detection"), by_task.get("expression")
        if detection is None or expression is None:
            return
        finding, reading = await keeper.ready(detection), await keeper.ready(expression)
        self.faces = await asyncio.to_thread(
            lambda: FaceReader(BlazeFace(finding), ExpressionNetwork(reading))
        )
        self.has("expression", detection)
        self.has("expression", expression)
        log.info("models of faces are loaded", models=self.labels("expression"))

    async def _load_speech(
        self, keeper: Keeper, manifest: Manifest, own: dict[str, Whisper]
    ) -> None:
        folder = await keeper.ready(manifest)
        whisper = await asyncio.to_thread(Whisper, folder, self.providers)
        if ANY_LANGUAGE in manifest.languages:
            self.recogniser = WhisperRecogniser(whisper, own)
        else:
            own.update(dict.fromkeys(manifest.languages, whisper))
        self.has("speech", manifest)
        log.info("model is loaded", model=manifest.label)


__all__ = ["Engines"]
