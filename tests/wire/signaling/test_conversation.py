"""Conversations over gRPC, against a real signaling service and real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import channels
from chassis.errors import NotFound, Unavailable
from services.meeting.domain import MeetingEnded
from tests.signaling_stand import LONG_SECONDS, Client, Stand, standing, until


def reason_of(message: ServerMessage) -> str:
    info = ErrorInfo()
    assert message.refused.status.details[0].Unpack(info)
    return str(info.reason)


def speaking(*names: str) -> ServerMessage:
    return ServerMessage(speakers_changed=signaling_pb2.SpeakersChanged(speakers=names))


def published(track: str, participant: str) -> ServerMessage:
    it = signaling_pb2.Track(id=track, participant=participant)
    return ServerMessage(track_published=signaling_pb2.TrackPublished(track=it))


async def error_of(client: Client) -> grpc.aio.AioRpcError:
    async with asyncio.timeout(LONG_SECONDS):
        while True:
            try:
                await client.hear()
            except grpc.aio.AioRpcError as error:
                return error


async def test_who_joins_sees_who_is_there_and_is_seen(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, joined = await stand.joined(ann)
        assert [p.name for p in joined.joined.participants] == [ann]
        assert joined.reply_to == "join"
        await stand.publish(published("t1", ann), speaking(ann, stand.someone()))
        second, joined = await stand.joined(bob)
        await second.say("x", restart_ice={})
        assert (await second.hear()).reply_to == "x", "one's own coming is told by joined alone"
        assert [p.name for p in joined.joined.participants] == [ann, bob]
        assert [t.id for t in joined.joined.tracks] == ["t1"]
        assert list(joined.joined.speakers) == [ann], "who is not there does not speak"
        assert (await first.hear("participant_joined")).participant_joined.participant.name == bob
        assert {report[0] for report in stand.meeting.reports} == {ann, bob}


async def test_what_is_asked_is_answered_with_its_mark(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, joined = await stand.joined()
        await client.say("a", start_media={})
        offer = {"sdp": "v=0", "tracks": [{"mid": "0"}]}
        await client.say("b", publish_offer=offer)
        await client.say("c", subscribe_answer={"sdp": "v=0", "revision": 1})
        await client.say("d", set_track_muted={"track_id": "t", "muted": True})
        await client.say("e", restart_ice={})
        hidden = {"candidate": "candidate:1 1 udp 2113937151 5f2c8c1e-6f0e.local 53211 typ host"}
        publisher = {"peer_connection": "PEER_CONNECTION_PUBLISHER"}
        await client.say("f", ice_candidate={**publisher, **hidden})
        heard = [await client.hear() for _ in range(6)]
        kinds = [(m.reply_to, m.WhichOneof("message")) for m in heard]
        accepted = "accepted"
        assert kinds == [
            ("a", accepted),
            ("b", "publish_answer"),
            ("c", accepted),
            ("d", accepted),
            ("e", accepted),
            ("f", accepted),
        ]
        assert heard[1].publish_answer.tracks[0].track_id == "track-0"
        sequences = [joined.sequence, *(m.sequence for m in heard)]
        assert sequences == sorted(set(sequences))
        assert stand.media.asked[0].grants.subscribe
        assert len(stand.media.asked[0].grants.publish) == 2


async def test_who_begins_muted_is_muted_at_the_first_offer_that_is_answered_and_never_again(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:

        async def offered(client: Client) -> bool:
            await client.say("b", publish_offer={"sdp": "v=0", "tracks": [{"mid": "0"}]})
            await client.hear("publish_answer")
            return bool(stand.media.asked[-1].mutes_microphone)

        first, _ = await stand.joined()
        assert not await offered(first), "a ticket that does not say so"
        client, ticket = await stand.client(), stand.ticket(stand.someone(), begins_muted=True)
        await client.say("join", join={"ticket": ticket})
        joined = await client.hear("joined")
        stand.media.error = Unavailable(retry_after=2.0)
        await client.say("a", publish_offer={"sdp": "v=0"})
        refused = await client.hear("refused")
        stand.media.error = None
        assert await offered(client)
        assert not await offered(client)
        await client.break_off()
        again = await stand.client()
        resume = {"session_token": joined.joined.session_token, "cursor": refused.sequence}
        await again.say("resume", resume=resume)
        await again.hear("resumed")
        assert not await offered(again)
        anew = await stand.client()
        await anew.say("join", join={"ticket": ticket})
        await anew.hear("joined")
        assert await offered(anew), "who comes in again begins muted again"


async def test_a_refusal_of_the_media_node_reaches_the_client_as_it_is(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, _ = await stand.joined()
        stand.media.error = NotFound(text="No such peer.", peer="x")
        await client.say("a", restart_ice={})
        refused = await client.hear("refused")
        assert (refused.reply_to, refused.refused.status.message) == ("a", "No such peer.")
        stand.media.error = Unavailable(retry_after=2.0)
        await client.say("b", start_media={})
        refused = await client.hear("refused")
        retry = RetryInfo()
        assert any(detail.Unpack(retry) for detail in refused.refused.status.details)
        assert retry.retry_delay.seconds == 2
        stand.media.error = None
        await client.say("c", start_media={})
        assert (await client.hear()).WhichOneof("message") == "accepted"


async def test_a_conversation_begins_with_join_once(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        client = await stand.client()
        await client.say(ping={})
        error = await error_of(client)
        assert (error.code(), channels.reason(error)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "JOIN_FIRST",
        )
        client, _ = await stand.joined()
        await client.say("again", join={"ticket": "x"})
        assert reason_of(await client.hear("refused")) == "JOIN_FIRST"


@pytest.mark.parametrize("forgery", ["nonsense", "expired", "by another service"])
async def test_a_ticket_that_is_not_good_opens_nothing(
    valkey: str, tmp_path: Path, forgery: str
) -> None:
    async with standing(valkey, tmp_path) as stand:
        claims = {"sub": stand.someone()}
        forged: dict[str, Callable[[], str]] = {
            "nonsense": lambda: "a.b.c",
            "expired": lambda: stand.ticket(stand.someone(), timedelta(minutes=-1)),
            "by another service": lambda: stand.identity("media").sign(
                claims, "parley-signaling", timedelta(minutes=1)
            ),
        }
        client = await stand.client()
        await client.say(join={"ticket": forged[forgery]()})
        error = await error_of(client)
        assert (error.code(), channels.reason(error)) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "TICKET_INVALID",
        )
        assert stand.meeting.reports == []


async def test_who_joins_a_meeting_that_is_over_is_told_so(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        stand.meeting.error = MeetingEnded()
        client = await stand.client()
        await client.say(join={"ticket": stand.ticket(stand.someone())})
        error = await error_of(client)
        assert channels.reason(error) == "MEETING_ENDED"


async def test_the_browser_pair_carries_a_conversation_through_any_process(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        here = signaling_pb2_grpc.SignalingServiceStub(await stand.channel(0))
        there = signaling_pb2_grpc.SignalingServiceStub(await stand.channel(1))
        join = signaling_pb2.Join(ticket=stand.ticket(stand.someone()))
        opening = ClientMessage(join=join)
        stream = here.Subscribe(signaling_pb2.SubscribeRequest(message=opening))
        answers = aiter(stream)
        joined = await anext(answers)
        token = joined.joined.session_token
        for stub, mark in ((there, "a"), (here, "b"), (there, "c")):
            message = ClientMessage(id=mark, ping=signaling_pb2.Ping())
            await stub.Send(signaling_pb2.SendRequest(session_token=token, message=message))
            assert (await anext(answers)).reply_to == mark
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await there.Send(signaling_pb2.SendRequest(session_token=f"{token}x", message=message))
        assert channels.reason(caught.value) == "SESSION_EXPIRED"
        goodbye = ClientMessage(leave=signaling_pb2.Leave())
        leave = signaling_pb2.SendRequest(session_token=token, message=goodbye)
        await there.Send(leave)
        assert (await anext(answers)).disconnected.reason == signaling_pb2.DISCONNECT_REASON_LEFT
        assert await anext(answers, None) is None


async def test_who_leaves_is_gone_for_all(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, _ = await stand.joined(ann)
        second, _ = await stand.joined(bob)
        await stand.publish(published("t1", bob))
        await second.say(leave={})
        assert (await second.hear("disconnected")).sequence
        with pytest.raises(EOFError):
            await second.hear()
        assert (await first.hear("track_unpublished")).track_unpublished.track_id == "t1"
        assert (await first.hear("participant_left")).participant_left.participant == bob
        await until(lambda: bob in stand.media.removed)
        assert stand.meeting.left(bob) == 1
        gone = signaling_pb2.TrackUnpublished(track_id="t1", participant=bob)
        await stand.publish(ServerMessage(track_unpublished=gone), speaking(ann))
        assert (await first.hear()).WhichOneof("message") == "speakers_changed", "told twice"


async def test_joining_again_replaces_the_older_session(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        ann = stand.someone()
        older, joined = await stand.joined(ann, process=0)
        newer, again = await stand.joined(ann, process=1)
        out = await older.hear("disconnected")
        assert out.disconnected.reason == signaling_pb2.DISCONNECT_REASON_REPLACED
        with pytest.raises(EOFError):
            await older.hear()
        assert len(again.joined.participants) == 1
        client = await stand.client()
        token = joined.joined.session_token
        await client.say(resume={"session_token": token, "cursor": joined.sequence})
        assert channels.reason(await error_of(client)) == "SESSION_EXPIRED"
        await newer.say("still", ping={})
        assert (await newer.hear("pong")).reply_to == "still"


async def test_a_host_removes_somebody(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, _ = await stand.joined(ann)
        second, _ = await stand.joined(bob)
        removed = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_REMOVED)
        await stand.publish(ServerMessage(disconnected=removed), participant=bob)
        assert (await second.hear("disconnected")).disconnected == removed
        with pytest.raises(EOFError):
            await second.hear()
        assert (await first.hear("participant_left")).participant_left.participant == bob
        assert bob in stand.media.removed


async def test_the_end_of_a_meeting_closes_everybody(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        clients = [(await stand.joined())[0] for _ in range(3)]
        await stand.publish(ServerMessage(meeting_ended=signaling_pb2.MeetingEnded()))
        for client in clients:
            await client.hear("meeting_ended")
            with pytest.raises(EOFError):
                await client.hear()


async def test_a_media_reset_clears_tracks_and_speakers(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann = stand.someone()
        await stand.joined(ann)
        await stand.publish(published("t1", ann), speaking(ann))
        await stand.publish(ServerMessage(media_reset=signaling_pb2.MediaReset()))
        _, joined = await stand.joined()
        assert len(joined.joined.tracks) == len(joined.joined.speakers) == 0


async def test_a_media_reset_for_one_leaves_the_others_tracks(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        await stand.joined(ann)
        second, _ = await stand.joined(bob)
        await stand.publish(published("t1", ann), speaking(ann))
        reset = ServerMessage(media_reset=signaling_pb2.MediaReset())
        await stand.publish(reset, participant=bob)
        await second.hear("media_reset")
        _, joined = await stand.joined()
        assert [track.id for track in joined.joined.tracks] == ["t1"]
        assert list(joined.joined.speakers) == [ann]


async def test_everybody_hears_that_their_room_moves_also_who_was_away(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, joined = await stand.joined(stand.someone())
        await client.break_off()
        notice = Duration(seconds=5)
        moving = signaling_pb2.MediaMoving(notice=notice)
        await stand.publish(ServerMessage(media_moving=moving))
        again, token = await stand.client(), joined.joined.session_token
        await again.say(resume={"session_token": token, "cursor": joined.sequence})
        assert (await again.hear("media_moving")).media_moving == moving


async def test_strangers_publish_no_events(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        stub = signaling_pb2_grpc.EventServiceStub(await stand.channel())
        event = signaling_pb2.Event(message=speaking())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.PublishEvents(
                signaling_pb2.PublishEventsRequest(meeting=stand.room, events=[event])
            )
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_one_is_told_others_do_not_hear(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, _ = await stand.joined(ann)
        second, _ = await stand.joined(bob)
        secret = signaling_pb2.SubscribeOffer(sdp="for bob alone", revision=1)
        await stand.publish(ServerMessage(subscribe_offer=secret), participant=bob)
        await stand.publish(speaking(ann))
        assert (await second.hear()).subscribe_offer == secret
        await first.hear("participant_joined")
        assert (await first.hear()).WhichOneof("message") == "speakers_changed"


async def test_a_flood_is_refused_and_then_cut(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, _ = await stand.joined()
        bystander, _ = await stand.joined()
        for _ in range(200):
            await client.say(ice_candidate={"peer_connection": "PEER_CONNECTION_PUBLISHER"})
        assert reason_of(await client.hear("refused")) == "RATE_LIMITED"
        error = await error_of(client)
        assert channels.reason(error) == "RATE_LIMITED"
        await bystander.say("x", ping={})
        assert (await bystander.hear("pong")).reply_to == "x"


async def test_a_full_process_says_so(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, max_connections=1) as stand:
        first, _ = await stand.joined()
        client = await stand.client()
        await client.say(join={"ticket": stand.ticket(stand.someone())})
        assert channels.reason(await error_of(client)) == "TOO_MANY_CONNECTIONS"
        await first.break_off()
        await joined_at_last(stand)


async def test_a_full_room_says_so(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, max_participants=1) as stand:
        await stand.joined()
        client = await stand.client()
        await client.say(join={"ticket": stand.ticket(stand.someone())})
        assert channels.reason(await error_of(client)) == "ROOM_FULL"


async def joined_at_last(stand: Stand) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while True:
            try:
                await stand.joined()
            except grpc.aio.AioRpcError as error:
                assert channels.reason(error) == "TOO_MANY_CONNECTIONS"
                await asyncio.sleep(0.02)
            else:
                return


async def test_who_hears_nothing_is_told_that_the_server_is_there(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.conversation.IDLE_SECONDS", 0.1)
    async with standing(valkey, tmp_path) as stand:
        client, joined = await stand.joined()
        first, second = await client.hear(), await client.hear()
        assert joined.sequence == first.sequence == second.sequence, "a pong is in the room's log"
        assert (first.WhichOneof("message"), first.reply_to) == ("pong", "")


async def test_a_connection_does_not_live_for_ever(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, resume_seconds=1, max_connection_seconds=0.0) as stand:
        client, _ = await stand.joined()
        assert channels.reason(await error_of(client)) == "CONNECTION_TOO_OLD"


async def test_a_message_that_breaks_a_rule_ends_the_stream_it_came_on(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        client, _ = await stand.joined()
        await client.say(publish_offer={"sdp": ""})
        assert (await error_of(client)).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_flood_by_send_is_refused_call_by_call(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.sessions.SAID_LIMIT", 5)
    async with standing(valkey, tmp_path, processes=2) as stand:
        _, joined = await stand.joined()
        ping = signaling_pb2.SendRequest(
            session_token=joined.joined.session_token,
            message=ClientMessage(ping=signaling_pb2.Ping()),
        )
        stubs = [
            signaling_pb2_grpc.SignalingServiceStub(await stand.channel(number))
            for number in range(2)
        ]
        for number in range(5):
            await stubs[number % 2].Send(ping)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs[1].Send(ping)
        assert channels.reason(caught.value) == "RATE_LIMITED"
