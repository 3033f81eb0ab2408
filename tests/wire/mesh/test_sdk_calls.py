"""The SDK's calls against a server that misbehaves: nothing is done twice, tokens are had anew, errors tell all."""

from __future__ import annotations

import asyncio
from collections import deque

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc.error_details_pb2 import ErrorInfo
from parley.ai.v1 import ai_pb2
from parley.client import AccessToken, ApiKey, Parley, ParleyError, Password
from parley.media.v1 import library_pb2
from parley.meeting.v1 import breakout_pb2, meeting_pb2, webhook_pb2

from chassis.errors import InvalidArgument, ResourceExhausted, Unauthenticated, Unavailable
from tests.sdk_stand import MEETING, QUICK, serving, signed_in

GET = meeting_pb2.GetMeetingRequest(name=MEETING)


class CodeRequired(Unauthenticated):
    reason = "CODE_REQUIRED"


class RefreshTokenInvalid(Unauthenticated):
    reason = "REFRESH_TOKEN_INVALID"


class ApiKeyInvalid(Unauthenticated):
    reason = "API_KEY_INVALID"


async def test_a_server_that_is_away_twice_makes_one_meeting() -> None:
    async with signed_in() as (server, parley):
        away = [Unavailable(retry_after=0.02), Unavailable(retry_after=None)]
        server.failures["CreateMeeting"] = deque(away)
        request = meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Daily"))
        made = await parley.meetings.CreateMeeting(request)
        assert made.name == "meetings/0"
        assert server.called["CreateMeeting"] == 3
        assert len(set(server.request_ids)) == 1
        assert not request.request_id, "the caller's own message is left alone"
        assert (await parley.meetings.CreateMeeting(request)).name == "meetings/1"


async def test_a_wait_that_is_too_long_is_the_callers_to_make() -> None:
    async with signed_in() as (server, parley):
        server.failures["GetMeeting"] = deque([ResourceExhausted(retry_after=60)])
        with pytest.raises(ParleyError) as caught:
            await parley.meetings.GetMeeting(GET)
        assert caught.value.retry_after == 60
        assert server.called["GetMeeting"] == 1


async def test_a_limit_that_time_lifts_is_waited_for_and_another_is_not() -> None:
    async with signed_in() as (server, parley):
        limits = [ResourceExhausted(retry_after=0.02), ResourceExhausted()]
        server.failures["GetMeeting"] = deque(limits)
        with pytest.raises(ParleyError, match="RESOURCE_EXHAUSTED"):
            await parley.meetings.GetMeeting(GET)
        assert server.called["GetMeeting"] == 2


async def test_patience_ends() -> None:
    async with signed_in() as (server, parley):
        server.failures["GetMeeting"] = deque(Unavailable(retry_after=None) for _ in range(9))
        with pytest.raises(ParleyError, match="UNAVAILABLE"):
            await parley.meetings.GetMeeting(GET)
        assert server.called["GetMeeting"] == QUICK.attempts


async def test_the_deadline_is_for_all_attempts_together() -> None:
    async with signed_in() as (server, parley):
        server.failures["GetMeeting"] = deque(Unavailable(retry_after=0.9) for _ in range(9))
        with pytest.raises(ParleyError, match="UNAVAILABLE"):
            await parley.meetings.GetMeeting(GET, timeout=0.5)
        assert server.called["GetMeeting"] == 1


async def test_an_error_tells_all_that_the_server_said() -> None:
    async with signed_in() as (server, parley):
        wrong = InvalidArgument(text="No.", fields={"name": "is wrong"}, hint="none")
        server.failures["GetMeeting"] = deque([wrong])
        with pytest.raises(ParleyError) as caught:
            await parley.meetings.GetMeeting(GET)
        error = caught.value
        assert error.code == grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.message) == ("INVALID_ARGUMENT", "No.")
        assert error.fields == {"name": "is wrong"}
        (info,) = [detail for detail in error.details if isinstance(detail, ErrorInfo)]
        assert info.metadata == {"hint": "none"}
        assert error.retry_after is None


async def test_a_method_that_the_server_lacks_is_an_error_like_others() -> None:
    async with signed_in() as (_, parley):
        with pytest.raises(ParleyError) as caught:
            await parley.breakouts.ListBreakouts(breakout_pb2.ListBreakoutsRequest())
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNIMPLEMENTED, "")


async def test_many_calls_with_an_expired_token_renew_it_once() -> None:
    async with signed_in() as (server, parley):
        server.gate = asyncio.Event()
        server.good.clear()
        calls = [asyncio.ensure_future(parley.meetings.GetMeeting(GET)) for _ in range(10)]
        while server.called["GetMeeting"] < 10:  # noqa: ASYNC110  # all are refused first
            await asyncio.sleep(0.01)
        server.gate.set()
        await asyncio.gather(*calls)
        assert server.called["ExchangeApiKey"] == 2
        assert server.called["GetMeeting"] == 20


async def test_a_token_is_renewed_before_it_expires() -> None:
    async with serving() as (server, url):
        server.lifetime = 0
        async with Parley.connect(url, credentials=ApiKey("pk_x")) as parley:
            server.lifetime = 3600
            await asyncio.gather(*(parley.meetings.GetMeeting(GET) for _ in range(5)))
        assert server.called["ExchangeApiKey"] == 2
        assert server.called["GetMeeting"] == 5


async def test_a_key_that_was_revoked_is_not_tried_again_and_again() -> None:
    async with signed_in() as (server, parley):
        server.good.clear()
        server.failures["ExchangeApiKey"] = deque([ApiKeyInvalid()])
        for _ in range(3):
            with pytest.raises(ParleyError, match="API_KEY_INVALID"):
                await parley.meetings.GetMeeting(GET)
        assert server.called["ExchangeApiKey"] == 2


async def test_a_token_that_was_given_is_used_as_it_is() -> None:
    async with serving() as (server, url):
        server.good.add("mine")
        async with Parley.connect(url, credentials=AccessToken("mine")) as parley:
            await parley.meetings.GetMeeting(GET)
            server.good.clear()
            with pytest.raises(ParleyError, match="TOKEN_EXPIRED"):
                await parley.meetings.GetMeeting(GET)
        assert server.called["GetMeeting"] == 2


async def test_a_password_asks_for_a_code_where_one_is_needed_and_signs_out_at_the_end() -> None:
    async with serving() as (server, url):
        server.failures["Login"] = deque([CodeRequired()])

        async def code() -> str:
            return "123456"

        async with Parley.connect(url, credentials=Password("ann", "secret", code)) as parley:
            await parley.meetings.GetMeeting(GET)
            server.good.clear()
            away = [Unavailable(retry_after=0.02)]
            server.failures["Refresh"] = deque(away)
            await parley.meetings.GetMeeting(GET)
            assert server.called["Refresh"] == 2
            server.good.clear()
            server.failures["Refresh"] = deque([RefreshTokenInvalid()])
            await parley.meetings.GetMeeting(GET)
        assert server.called["Login"] == 3
        assert server.called["Logout"] == 1


async def test_wrong_credentials_fail_at_once() -> None:
    async with serving() as (server, url):
        server.failures["ExchangeApiKey"] = deque([ApiKeyInvalid()])
        with pytest.raises(ParleyError, match="API_KEY_INVALID"):
            async with Parley.connect(url, credentials=ApiKey("pk_x")):
                pass


async def test_pages_are_got_as_they_are_wanted() -> None:
    async with signed_in() as (server, parley):
        request = meeting_pb2.ListMeetingsRequest(page_size=3)
        meetings = parley.pages(parley.meetings.ListMeetings, request)
        names = [(await anext(meetings)).name for _ in range(3)]
        assert server.called["ListMeetings"] == 1
        names += [meeting.name async for meeting in meetings]
        assert names == [f"meetings/{number}" for number in range(7)]
        assert not request.page_token


async def test_a_stream_is_opened_again_until_its_first_answer_and_fails_alike() -> None:
    async with signed_in() as (server, parley):
        server.failures["WatchEvents"] = deque([Unavailable(retry_after=0.02)])
        server.good.clear()
        names = []

        async def watch() -> None:
            async for event in parley.webhooks.WatchEvents(webhook_pb2.WatchEventsRequest()):
                names.append(event.id)  # noqa: PERF401  # what came before it failed counts

        with pytest.raises(ParleyError, match="no more"):
            await watch()
        assert names == ["events/0", "events/1"]
        assert server.called["WatchEvents"] == 3


async def test_what_is_streamed_upwards_carries_a_token_and_fails_alike() -> None:
    async with signed_in() as (_, parley):
        parts = [library_pb2.UploadMediaRequest(body=HttpBody(data=b"four")) for _ in range(2)]
        assert (await parley.library.UploadMedia(iter(parts))).size_bytes == 8
        call = parley.library.UploadMedia()
        await call.write(parts[0])
        await call.done_writing()
        assert (await call).size_bytes == 4
        with pytest.raises(ParleyError, match="The file is empty"):
            await parley.library.UploadMedia(iter([]))


async def test_what_is_streamed_both_ways_carries_a_token_and_fails_alike() -> None:
    async with signed_in() as (_, parley):
        call = parley.ai.StreamRecognizeSpeech()
        await call.write(ai_pb2.StreamRecognizeSpeechRequest(config=ai_pb2.RecognitionConfig()))
        answers = aiter(call)
        assert (await anext(answers)).speech.text == "config"
        await call.write(ai_pb2.StreamRecognizeSpeechRequest(audio=ai_pb2.AudioChunk()))
        assert (await anext(answers)).speech.text == "audio"
        await call.done_writing()
        with pytest.raises(ParleyError, match="no sound"):
            await anext(answers)


async def test_a_call_that_is_given_up_ends() -> None:
    async with signed_in() as (server, parley):
        server.failures["GetMeeting"] = deque(Unavailable(retry_after=0.9) for _ in range(9))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await parley.meetings.GetMeeting(GET)
        assert server.called["GetMeeting"] == 1


async def test_a_request_id_and_a_token_of_ones_own_are_left_as_they_are() -> None:
    async with signed_in() as (server, parley):
        server.good.add("mine")
        request = meeting_pb2.CreateMeetingRequest(request_id="own")
        own = (("authorization", "Bearer mine"),)
        server.good = {"mine"}
        await parley.meetings.CreateMeeting(request, metadata=own)
        assert server.request_ids == ["own"]
