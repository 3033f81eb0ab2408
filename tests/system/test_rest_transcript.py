"""A transcript by REST: what media recorded is listed, searched, exported as a file and deleted, and no stranger's."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis import channels
from stack.state import State
from tests.identities import identity_in
from tests.meeting_stand import said
from tests.rest import Person, reason, sign_up
from tests.running_stack import RunningStack

BEGIN = datetime.now(UTC)
"""What was said long ago is let go of at any time: as long ago as transcripts are kept."""


@pytest.fixture
def meeting(ann: Person) -> str:
    name = ann.create_meeting()
    switches = {"captions": True, "transcript": True}
    assert ann.call("PATCH", f"/api/v1/{name}/settings", json=switches).status_code == 200
    return name


@pytest.fixture
def speaker(ann: Person, meeting: str) -> str:
    joined = ann.call("POST", f"/api/v1/{meeting}:join", json={"display_name": "Ann"}).json()
    name = str(joined["participant"]["name"])
    agreed = ann.call("POST", f"/api/v1/{name}:setConsent", json={"consent": {"transcript": True}})
    assert agreed.status_code == 200, agreed.text
    return name


def record(stack: RunningStack, *segments: transcript_pb2.TranscriptSegment) -> None:
    """Tell the meeting service, as a media node of this stack does, what was said."""
    identity = identity_in(State(stack.state).secrets, "media")

    async def call() -> None:
        address = f"127.0.0.1:{stack.layout.port('envoy', 'mesh')}"
        async with channels.direct(address, identity) as mesh:
            stub: Any = transcript_pb2_grpc.CaptionServiceStub(mesh)
            await stub.RecordSegments(transcript_pb2.RecordSegmentsRequest(segments=segments))

    asyncio.run(call())


def test_what_was_said_is_read_searched_exported_and_deleted(
    stack: RunningStack, http: httpx.Client, ann: Person, meeting: str, speaker: str
) -> None:
    path = f"/api/v1/{meeting}/transcript"
    texts = ("Good morning.", "The budget is <spent>.", "预算用完了。")
    record(
        stack, *(said(speaker, each, BEGIN + timedelta(seconds=n)) for n, each in enumerate(texts))
    )
    first = ann.call("GET", path, params={"page_size": 2}).json()
    assert [each["text"] for each in first["segments"]] == list(texts[:2])
    assert {each["display_name"] for each in first["segments"]} == {"Ann"}
    rest = ann.call("GET", path, params={"page_token": first["next_page_token"]}).json()
    assert [each["text"] for each in rest["segments"]] == [texts[2]]
    found = ann.call("GET", path, params={"query": "预算"}).json()
    assert [each["text"] for each in found["segments"]] == [texts[2]]
    stranger = sign_up(http, "eve").call("GET", path)
    assert (stranger.status_code, reason(stranger)) == (403, "NOT_PARTICIPANT")

    file = ann.call("GET", f"{path}:export", params={"format": "TRANSCRIPT_FORMAT_WEBVTT"})
    assert file.status_code == 200, file.text
    assert file.headers["content-type"] == "text/vtt; charset=utf-8"
    code = meeting.removeprefix("meetings/")
    assert file.headers["content-disposition"] == f'attachment; filename="transcript-{code}.vtt"'
    assert file.content.startswith(b"WEBVTT\n\n00:00:00.000 --> ")
    assert "<v Ann>The budget is &lt;spent&gt;.</v>" in file.text
    document = ann.call("GET", f"{path}:export", params={"format": "TRANSCRIPT_FORMAT_JSON"})
    assert document.headers["content-type"] == "application/json"
    assert json.loads(document.content) == [*first["segments"], *rest["segments"]]

    assert ann.call("DELETE", path).status_code == 200
    assert ann.call("GET", path).json()["segments"] == []
    gone = ann.call("GET", f"{path}:export")
    assert (gone.status_code, reason(gone)) == (404, "TRANSCRIPT_NOT_FOUND")


def test_summaries_say_why_there_is_none(ann: Person, meeting: str) -> None:
    path = f"/api/v1/{meeting}/summary"
    none = ann.call("GET", path)
    assert (none.status_code, reason(none)) == (404, "SUMMARY_NOT_FOUND")
    off = ann.call("POST", f"{path}:generate", json={})
    assert (off.status_code, reason(off)) == (400, "SUMMARY_OFF")
    caught_up = ann.call("POST", f"/api/v1/{meeting}:catchUp", json={})
    assert (caught_up.status_code, caught_up.json()["points"]) == (200, [])
