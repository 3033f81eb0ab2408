"""Inference on files, and the models that there are."""

from __future__ import annotations

import base64

import httpx

from loadtest.client.answers import body, check, objects, read, reason_of, text_of
from loadtest.client.cases import Skipped, case
from loadtest.client.samples import png, wav
from loadtest.client.user import register
from loadtest.client.visit import Visit

SECONDS = 1.0
TOLERANCE_SECONDS = 0.1
NO_FAULT = {
    "EMOTIONS_NOT_ALLOWED": "the operator's policy does not allow it",
    "MODEL_NOT_READY": "the model is not there (yet)",
}
"""Refusals that say something of the installation, not that the server is wrong."""


def _unless_excused(answer: httpx.Response) -> httpx.Response:
    """Raise Skipped for a refusal that is no fault."""
    if answer.is_error and answer.headers.get("content-type", "").startswith("application/json"):
        reason = reason_of(body(answer, answer.status_code))
        if reason in NO_FAULT:
            raise Skipped(f"{NO_FAULT[reason]} ({reason})")
    return answer


@case("ai", "models", needs=(register,))
async def models(visit: Visit) -> str:
    """Each has a task and a state."""
    found = objects(body(await visit.get("/api/v1/ai/models")), "models")
    names = [text_of(each, "name") for each in found]
    check(all(text_of(each, "task") for each in found), "a model has no task")
    return ", ".join(names) or "none"


@case("ai", "recognise a second of sound", needs=(register,))
async def speech(visit: Visit) -> str:
    """A tone: what matters is that it was read whole, not which words are heard in it."""
    request = {"audio": {"content": base64.b64encode(wav(SECONDS)).decode()}}
    heard = body(_unless_excused(await visit.post("/api/v1/ai/speech:recognize", request)))
    duration = text_of(heard, "duration")
    seconds = float(duration.removesuffix("s"))
    check(abs(seconds - SECONDS) < TOLERANCE_SECONDS, f"the sound is said to last {duration}")
    objects(heard, "segments")
    return f"{duration}, text {read(heard, 'text', str)!r}"


@case("ai", "look for faces in a picture", needs=(register,))
async def emotion(visit: Visit) -> str:
    """Noise: there is no face in it, but it is a picture."""
    request = {"image": {"content": base64.b64encode(png()).decode()}}
    seen = body(_unless_excused(await visit.post("/api/v1/ai/emotion:detect", request)))
    return f"{len(objects(seen, 'faces'))} faces"
