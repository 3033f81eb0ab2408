"""Intelligence over REST, through Nginx and Envoy, where the operator allows expressions to be read."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from stack.state import State
from tests.ai_stand import MODELS
from tests.face_samples import sample
from tests.rest import Person, client, reason, sign_up
from tests.running_stack import RunningStack, eventually, free_offset, stack_running
from tests.servers import open_folder

TASKS = ("voice-activity", "face-detection", "expression")


@pytest.fixture(scope="module")
def allowing() -> Iterator[RunningStack]:
    """A stack whose operator allows it, with the models that tests keep."""
    MODELS.mkdir(parents=True, exist_ok=True)
    with open_folder() as folder:
        state = State(folder)
        state.create()
        names = ", ".join(f'"{task}"' for task in TASKS)
        state.settings.write_text(f"[ai]\nemotions = true\ntasks = [{names}]\n")
        (state.cache / "models").symlink_to(MODELS)
        with stack_running(folder, free_offset(), media_workers=1) as running:
            yield running


@pytest.fixture(scope="module")
def ann(allowing: RunningStack) -> Iterator[Person]:
    with client(allowing) as http:
        yield sign_up(http, "ann")


def test_models_are_listed_and_become_ready(ann: Person) -> None:
    def states() -> set[str]:
        models = ann.call("GET", "/api/v1/ai/models").json()["models"]
        assert len(models) == len(TASKS)
        return {model["state"] for model in models}

    eventually(lambda: states() == {"MODEL_STATE_READY"}, "the models are ready")


def detect(person: Person, content: bytes) -> httpx.Response:
    picture = {"image": {"content": base64.b64encode(content).decode()}}
    return person.call("POST", "/api/v1/ai/emotion:detect", json=picture)


def test_faces_are_read_in_a_photograph(ann: Person) -> None:
    faces = detect(ann, sample("sample6.jpg").read_bytes()).json()["faces"]
    assert len(faces) == 4
    assert set(faces[0]) == {"box", "emotion", "confidence", "scores"}
    assert sum(face["emotion"] == "EMOTION_HAPPY" for face in faces) >= 2
    assert set(faces[0]["box"]) == {"x", "y", "width", "height"}
    assert sum(faces[0]["scores"].values()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "content", [b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(99)], ids=["text", "broken"]
)
def test_a_file_that_is_no_picture_is_refused_by_name(ann: Person, content: bytes) -> None:
    answer = detect(ann, content)
    assert answer.status_code == 400
    assert reason(answer) == "IMAGE_INVALID"


def test_where_the_operator_does_not_allow_it_it_is_refused(stack: RunningStack) -> None:
    with client(stack) as http:
        answer = detect(sign_up(http, "bob"), sample("sample6.jpg").read_bytes())
    assert answer.status_code == 400
    assert reason(answer) == "EMOTIONS_NOT_ALLOWED"
