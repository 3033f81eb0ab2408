"""Faces and their expressions over real gRPC, with the real models and photographs of real people."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from parley.ai.v1 import ai_pb2
from PIL import Image

from chassis import channels
from services.ai import messages
from tests.ai_stand import RATE, AiStand, ai_running, audio, start
from tests.face_samples import sample

TASKS = ("voice-activity", "face-detection", "expression")
VOICE, FACES = ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY, ai_pb2.ANALYSIS_FEATURE_EXPRESSIONS


@pytest.fixture(scope="module")
async def ai(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AiStand]:
    folder = tmp_path_factory.mktemp("ai")
    async with ai_running(folder, *TASKS, emotions=True, max_streams=20) as it:
        async with asyncio.timeout(300):  # the first time they are fetched and built
            while not await models_of(it):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.2)
        yield it


async def models_of(ai: AiStand) -> list[str]:
    stub: Any = ai.stub
    first = await anext(aiter(stub.Analyze(iter([start(FACES)]))))
    return list(first.started.models)


async def seen(ai: AiStand, content: bytes) -> list[ai_pb2.Face]:
    stub: Any = ai.stub
    request = ai_pb2.DetectEmotionRequest(image=ai_pb2.ImageFile(content=content))
    answer = await stub.DetectEmotion(request, metadata=ai.metadata, timeout=60)
    return list(answer.faces)


def frame(picture: Image.Image, seconds: float) -> ai_pb2.AnalyzeRequest:
    """Show a picture as a decoder would: I420 in video range."""
    y, cb, cr = (np.asarray(plane, np.float32) for plane in picture.convert("YCbCr").split())
    luma = 16 + y * (219 / 255)
    chroma = [128 + (each[::2, ::2] - 128) * (224 / 255) for each in (cb, cr)]
    planes = b"".join(each.round().astype(np.uint8).tobytes() for each in (luma, *chroma))
    return ai_pb2.AnalyzeRequest(
        frame=ai_pb2.VideoFrame(
            width=picture.width,
            height=picture.height,
            planes=planes,
            offset=messages.duration(seconds),
        )
    )


def small(name: str) -> Image.Image:
    """A photograph at the size of a camera's smallest layer."""
    return Image.open(sample(name)).convert("RGB").resize((360, 240))


async def test_every_face_is_found_largest_first_and_smiles_are_happy(ai: AiStand) -> None:
    faces = await seen(ai, sample("sample6.jpg").read_bytes())
    assert len(faces) == 4
    sizes = [face.box.width * face.box.height for face in faces]
    assert sizes == sorted(sizes, reverse=True)
    for face in faces:
        assert sum(face.scores.values()) == pytest.approx(1, abs=1e-3)
        assert face.confidence == pytest.approx(max(face.scores.values()))
        assert face.box.x >= 0
        assert face.box.y + face.box.height <= 1
    assert [face.emotion for face in faces].count(ai_pb2.EMOTION_HAPPY) >= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_what_the_file_is_makes_no_difference(ai: AiStand, kind: str) -> None:
    file = io.BytesIO()
    Image.open(sample("sample3.jpg")).resize((960, 675)).save(file, kind)
    assert len(await seen(ai, file.getvalue())) == 3


async def test_a_picture_that_lies_on_its_side_is_turned_as_its_exif_says(ai: AiStand) -> None:
    upright = Image.open(sample("sample3.jpg")).resize((960, 675))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif, quality=95)
    assert len(await seen(ai, file.getvalue())) == 3


async def test_where_nobody_is_no_face_is_found(ai: AiStand) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (480, 640, 3), np.uint8)
    for pixels in (noise, np.zeros_like(noise)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        assert await seen(ai, file.getvalue()) == []


async def test_a_broken_picture_is_refused_by_name(ai: AiStand) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await seen(ai, sample("sample3.jpg").read_bytes()[:5000])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert channels.reason(caught.value) == "IMAGE_INVALID"


async def test_in_a_stream_of_pictures_one_that_is_broken_does_not_stop_the_others(
    ai: AiStand,
) -> None:
    stub: Any = ai.stub
    good = sample("sample3.jpg").read_bytes()
    requests = [
        ai_pb2.StreamDetectEmotionRequest(image=ai_pb2.ImageFile(content=content))
        for content in (good, b"no picture", good)
    ]
    call = stub.StreamDetectEmotion(iter(requests), metadata=ai.metadata, timeout=60)
    answers = [answer async for answer in call]
    assert [len(answer.faces) for answer in answers] == [3, 0, 3]
    assert answers[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert not answers[0].error.code


async def test_frames_of_a_call_show_faces_at_their_time_while_voices_go_on(ai: AiStand) -> None:
    stub: Any = ai.stub

    async def requests() -> AsyncIterator[ai_pb2.AnalyzeRequest]:
        yield start(VOICE, FACES)
        yield frame(small("sample3.jpg"), 1.0)
        yield audio(bytes(RATE), 1.0)

    answers = [answer async for answer in stub.Analyze(requests())]
    expressions = [answer.expressions for answer in answers if answer.HasField("expressions")]
    assert [len(each.faces) for each in expressions] == [3]
    assert expressions[0].offset == messages.duration(1.0)


async def test_a_new_expression_comes_over_some_seconds_and_not_at_once(ai: AiStand) -> None:
    stub: Any = ai.stub
    smiling, grave = await portrait(ai, "sample6.jpg"), await portrait(ai, "sample2.jpg")
    (alone,) = await shown(stub, [(grave, 0.0)])
    smile, after, later = await shown(stub, [(smiling, 0.0), (grave, 1.0), (grave, 4.0)])
    happy = [each.faces[0].scores["happy"] for each in (smile, after, later, alone)]
    way = happy[0] - happy[3]
    assert way > 0.3
    assert happy[0] - happy[1] == pytest.approx(0.33 * way, abs=0.05)  # 1 - exp(-1 / 2.5)
    assert happy[0] - happy[2] == pytest.approx(0.80 * way, abs=0.05)  # 1 - exp(-4 / 2.5)


async def portrait(ai: AiStand, name: str) -> Image.Image:
    """Cut the largest face of a photograph out, with as much around it in every one."""
    picture = Image.open(sample(name)).convert("RGB")
    box = (await seen(ai, sample(name).read_bytes()))[0].box
    x, y = (box.x + box.width / 2) * picture.width, (box.y + box.height / 2) * picture.height
    half = box.height * picture.height
    return picture.crop((int(x - half), int(y - half), int(x + half), int(y + half))).resize(
        (240, 240)
    )


async def shown(
    stub: Any, pictures: list[tuple[Image.Image, float]]
) -> list[ai_pb2.FaceExpressions]:
    """Show pictures one after the other, each when the one before was answered."""
    call = stub.Analyze()
    await call.write(start(FACES))
    await call.read()
    found = []
    for picture, at in pictures:
        await call.write(frame(picture, at))
        found.append((await call.read()).expressions)
    await call.done_writing()
    return found


async def test_a_frame_that_is_not_what_it_says_is_told_and_the_analysis_goes_on(
    ai: AiStand,
) -> None:
    stub: Any = ai.stub
    short = frame(small("sample3.jpg"), 0.0)
    short.frame.planes = short.frame.planes[:-2]
    call = stub.Analyze()
    await call.write(start(FACES))
    await call.read()
    await call.write(short)
    assert "IMAGE_INVALID" in str((await call.read()).error)
    await call.write(frame(small("sample3.jpg"), 1.0))
    assert len((await call.read()).expressions.faces) == 3
    await call.done_writing()


async def test_when_a_participant_withdraws_no_more_pictures_are_read(ai: AiStand) -> None:
    stub: Any = ai.stub

    def requests() -> Iterator[ai_pb2.AnalyzeRequest]:
        yield start(VOICE, FACES)
        yield ai_pb2.AnalyzeRequest(update=ai_pb2.AnalysisUpdate(features=[VOICE]))
        yield frame(small("sample3.jpg"), 1.0)

    answers = [answer async for answer in stub.Analyze(requests())]
    assert [answer.WhichOneof("message") for answer in answers] == ["started"]


async def test_the_models_are_listed_with_their_licences(ai: AiStand) -> None:
    stub: Any = ai.stub
    answer = await stub.ListModels(ai_pb2.ListModelsRequest(), metadata=ai.metadata, timeout=60)
    listed = {model.name: model for model in answer.models}
    assert set(listed) == {
        "models/silero-vad",
        "models/blazeface",
        "models/face-api-expression",
    }
    assert listed["models/blazeface"].license == "Apache-2.0"
    assert listed["models/blazeface"].task == ai_pb2.MODEL_TASK_FACE_DETECTION
    assert {model.state for model in answer.models} == {ai_pb2.MODEL_STATE_READY}


async def test_where_the_operator_does_not_allow_it_no_expression_is_read(tmp_path: Path) -> None:
    async with ai_running(tmp_path, *TASKS) as ai:
        stub: Any = ai.stub
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await seen(ai, sample("sample3.jpg").read_bytes())
        assert channels.reason(caught.value) == "EMOTIONS_NOT_ALLOWED"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.StreamDetectEmotion(iter([]), metadata=ai.metadata):
                pass
        assert channels.reason(caught.value) == "EMOTIONS_NOT_ALLOWED"
        answers = [
            answer
            async for answer in stub.Analyze(
                iter([start(VOICE, FACES), frame(small("sample3.jpg"), 0.0)])
            )
        ]
        assert [answer.WhichOneof("message") for answer in answers] == ["started", "error"]
        listed = await stub.ListModels(ai_pb2.ListModelsRequest(), metadata=ai.metadata)
        assert [model.name for model in listed.models] == ["models/silero-vad"]


async def test_while_a_model_is_not_there_the_refusal_says_when_to_ask_again(
    tmp_path: Path,
) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "mine.toml").write_text(
        'name = "mine"\nversion = "1"\ntask = "expression"\nlanguages = ["any"]\nlicence = "MIT"\n'
        f'[[source]]\npath = "/nowhere"\nsha256 = "{"0" * 64}"\n'
    )
    how: dict[str, Any] = {"emotions": True, "model_manifests": manifests}
    async with ai_running(tmp_path / "ai", *TASKS, **how) as ai:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await seen(ai, sample("sample3.jpg").read_bytes())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert channels.reason(caught.value) == "MODEL_NOT_READY"
