"""Webhooks over real gRPC, real Postgres and a real HTTP receiver: who is told what, how often, and in which order."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from parley.meeting.v1 import webhook_pb2

from chassis import db, seals
from chassis.clock import ManualClock
from chassis.stopping import stop
from services.meeting.app import MIGRATIONS
from services.meeting.events.courier import Courier
from services.meeting.events.delivery_store import DeliveryStore
from services.meeting.events.log import EventLog
from services.meeting.events.posting import Poster
from services.meeting.events.webhook import MAX_WEBHOOKS, Policy
from services.meeting.parts import SEALED
from tests.conftest import DatabaseFactory
from tests.meeting_stand import Stand, refusal
from tests.servers import PostgresServer
from tests.webhook_stand import LONG_SECONDS, Keeper, Receiver, a_receiver, a_stand

PENDING = webhook_pb2.DELIVERY_STATE_PENDING
DELIVERED = webhook_pb2.DELIVERY_STATE_DELIVERED
GIVEN_UP = webhook_pb2.DELIVERY_STATE_GIVEN_UP


@pytest.fixture(scope="module")
async def there(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stand, ManualClock]]:
    """Give a stand that the tests share: each has people of its own."""
    with postgres.migrated_database("meeting") as address:
        async with a_stand(lambda _: address, tmp_path_factory.mktemp("webhooks")) as it:
            yield it


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as it:
        yield it


@asynccontextmanager
async def another_courier(stand: Stand, folder: Path, clock: ManualClock) -> AsyncIterator[None]:
    """Run what another process of the service would, on the same database."""
    policy, seal = Policy(private=True, http=True), seals.seal(folder / "meeting.key", SEALED)
    async with db.connected(stand.database_url, MIGRATIONS) as database:
        events, deliveries = EventLog(database), DeliveryStore(database)
        courier = Courier(events, deliveries, Poster(policy), seal, clock, 0.02)
        running = asyncio.create_task(courier.run())
        try:
            yield
        finally:
            await stop(running)


@pytest.fixture
def ann(there: tuple[Stand, ManualClock]) -> Keeper:
    return Keeper.at(*there)


async def test_a_meetings_story_comes_in_order_and_signed(ann: Keeper, receiver: Receiver) -> None:
    created = await ann.add(receiver.uri)
    meeting = await ann.person.create()
    participant = await ann.person.join(meeting)
    await ann.connect(participant)
    await ann.update(meeting, "Other")
    await ann.connect(participant, left=True)
    await ann.person.end(meeting)
    posted = await receiver.until(6)
    assert receiver.types() == [
        *("CREATED", "STARTED", "PARTICIPANT_JOINED", "UPDATED"),
        *("PARTICIPANT_LEFT", "ENDED"),
    ]
    for each in posted:
        told = dict(part.split("=") for part in each.headers["parley-signature"].split(","))
        signed = f"{told['t']}.".encode() + each.body
        right = hmac.new(created.secret.encode(), signed, hashlib.sha256).hexdigest()
        assert told["v1"] == right
        assert int(told["t"]) == int(ann.clock.now().timestamp())
    assert posted[0].path == "/hook?from=parley"


async def test_what_is_told_says_how_it_was_and_no_passcode(
    ann: Keeper, receiver: Receiver
) -> None:
    await ann.add(receiver.uri)
    meeting = await ann.create("12345678")
    await ann.connect(await ann.person.join(meeting, "Ann"))
    created, started, joined = [each.event for each in await receiver.until(3)]
    assert (created["meeting"]["state"], created["meeting"]["participant_count"]) == (
        "MEETING_STATE_SCHEDULED",
        0,
    )
    assert started["meeting"]["participant_count"] == 1
    assert joined["participant"]["display_name"] == "Ann"
    assert len({each["id"] for each in (created, started, joined)}) == 3
    assert not any(each["meeting"]["passcode"] for each in (created, started, joined))


async def test_only_the_types_that_are_wanted_are_posted(ann: Keeper, receiver: Receiver) -> None:
    await ann.add(receiver.uri, [webhook_pb2.MEETING_EVENT_TYPE_ENDED])
    meeting = await ann.person.create()
    await ann.update(meeting, "Other")
    await ann.person.end(meeting)
    await receiver.until(1)
    assert receiver.types() == ["ENDED"]


async def test_a_failure_is_tried_again_and_what_comes_later_waits(
    ann: Keeper, receiver: Receiver
) -> None:
    receiver.answers = [500, 302, 0]
    receiver.location = receiver.uri
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting = await ann.person.create()
    await receiver.until(1, taken=False)
    await ann.update(meeting, "Other")
    await ann.settled(webhook, PENDING, 2)
    await ann.at_rest(webhook)
    for count in (2, 3, 4):
        ann.clock.advance(LONG_SECONDS)
        await receiver.until(count, taken=False)
        await ann.at_rest(webhook)
    taken = await receiver.until(2)
    assert receiver.types() == ["CREATED", "UPDATED"]
    assert len({each.event["id"] for each in receiver.posted[:4]}) == 1
    newest, oldest = await ann.settled(webhook, DELIVERED, 2)
    assert (oldest.attempt_count, oldest.http_status, newest.attempt_count) == (4, 200, 1)
    assert (await ann.webhooks()).webhooks[0].cursor == taken[1].event["cursor"]


async def test_other_meetings_do_not_wait_for_one_that_fails(
    ann: Keeper, receiver: Receiver
) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    failing = await ann.person.create()
    await receiver.until(1)
    receiver.refused.add(failing)
    await ann.update(failing, "Refused")
    await receiver.until(2, taken=False)
    other = await ann.person.create()
    await ann.update(other, "Taken")
    await receiver.until(3)
    assert {each.event["meeting"]["name"] for each in receiver.taken[1:]} == {other}
    receiver.refused.clear()
    await ann.at_rest(webhook)
    ann.clock.advance(LONG_SECONDS)
    await receiver.until(4)
    assert receiver.taken[-1].event["meeting"]["title"] == "Refused"


async def test_it_is_given_up_after_three_days_and_the_webhook_paused_until_it_is_replayed(
    ann: Keeper, receiver: Receiver
) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting = await ann.person.create()
    await receiver.until(1)
    receiver.refused.add(meeting)
    await ann.update(meeting, "Refused")
    await receiver.until(2, taken=False)
    await ann.update(meeting, "Behind")
    await ann.settled(webhook, PENDING, 2)
    for count in range(3, 12):
        await ann.at_rest(webhook)
        ann.clock.advance(LONG_SECONDS)
        await receiver.until(count, taken=False)
    given_up = await ann.settled(webhook, GIVEN_UP, 2)
    assert [each.http_status for each in given_up] == [0, 500]
    assert [each.attempt_count for each in given_up] == [0, 10]
    shown = (await ann.webhooks()).webhooks[0]
    assert shown.HasField("pause_time")
    await ann.update(meeting, "Paused")
    receiver.refused.clear()
    await ann.replay(webhook, shown.cursor)
    await receiver.until(4)
    assert [each.event["meeting"]["title"] for each in receiver.taken[1:]] == [
        *("Refused", "Behind", "Paused")
    ]
    assert not (await ann.webhooks()).webhooks[0].HasField("pause_time")


async def test_replay_delivers_again_from_a_cursor_or_all(ann: Keeper, receiver: Receiver) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting = await ann.person.create()
    for title in ("one", "two"):
        await ann.update(meeting, title)
    first = await receiver.until(3)
    await ann.replay(webhook, first[1].event["cursor"])
    again = await receiver.until(4)
    assert again[3].body == first[2].body
    await ann.replay(webhook)
    again = await receiver.until(7)
    assert [each.body for each in again[4:]] == [each.body for each in first]
    for cursor in ("nonsense", "WyJldmVudCIsIjk5OTkiXQ", "WyJldmVudCIsIi0xIl0"):
        assert await refusal(ann.replay(webhook, cursor)) == "CURSOR_INVALID"


async def test_replay_of_what_is_still_on_its_way_keeps_the_order(
    ann: Keeper, receiver: Receiver
) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting = await ann.person.create()
    await receiver.until(1)
    receiver.refused.add(meeting)
    for title in ("one", "two"):
        await ann.update(meeting, title)
    await ann.settled(webhook, PENDING, 2)
    await ann.at_rest(webhook)
    receiver.refused.clear()
    await ann.replay(webhook)
    taken = await receiver.until(4)
    assert [each.event["meeting"]["title"] for each in taken] == ["Heard", "Heard", "one", "two"]


async def test_who_dies_between_the_post_and_its_mark_delivers_again_with_the_same_id(
    ann: Keeper, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        return None

    with monkeypatch.context() as dying:
        dying.setattr(DeliveryStore, "settle", die)
        webhook = (await ann.add(receiver.uri)).webhook.name
        await ann.person.create()
        await receiver.until(1)
        (delivery,) = await ann.settled(webhook, PENDING, 1)
        assert delivery.attempt_count == 1
    ann.clock.advance(LONG_SECONDS)
    await ann.settled(webhook, DELIVERED, 1)
    first, second = receiver.taken
    assert first.body == second.body
    assert first.headers["parley-signature"] != second.headers["parley-signature"]


async def test_two_processes_deliver_each_event_once_and_in_order(
    database: DatabaseFactory, tmp_path: Path, receiver: Receiver
) -> None:
    async with (
        a_stand(database, tmp_path) as (stand, clock),
        another_courier(stand, tmp_path, clock),
    ):
        ann = Keeper.at(stand, clock)
        await ann.add(receiver.uri)
        meetings = await asyncio.gather(*(ann.person.create() for _ in range(4)))
        for number in range(5):
            await asyncio.gather(*(ann.update(each, f"{number}") for each in meetings))
        await receiver.until(24)
    for meeting in meetings:
        told = [each.event["meeting"] for each in receiver.taken]
        titles = [each["title"] for each in told if each["name"] == meeting]
        assert titles == ["Heard", *"01234"]
    assert len(receiver.posted) == 24


async def test_webhooks_are_ones_own(there: tuple[Stand, ManualClock], ann: Keeper) -> None:
    bob = Keeper.at(*there)
    webhook = (await ann.add("https://hooks.example.org/")).webhook
    assert not (await bob.webhooks()).webhooks
    for call in (bob.remove, bob.replay, bob.page):
        assert await refusal(call(webhook.name)) == "WEBHOOK_NOT_FOUND"
    assert list((await ann.webhooks()).webhooks) == [webhook]
    await ann.remove(webhook.name)
    assert await refusal(ann.remove(webhook.name)) == "WEBHOOK_NOT_FOUND"
    assert not (await ann.webhooks()).webhooks


async def test_others_are_told_nothing_of_ones_meetings(
    there: tuple[Stand, ManualClock], ann: Keeper, receiver: Receiver
) -> None:
    bob = Keeper.at(*there)
    await bob.add(receiver.uri)
    meeting = await ann.person.create()
    await ann.connect(await bob.person.join(meeting, "Bob"))
    own = await bob.person.create()
    await receiver.until(1)
    assert [each.event["meeting"]["name"] for each in receiver.posted] == [own]


async def test_making_a_webhook_again_gives_the_first_answer(ann: Keeper) -> None:
    request_id, uri = str(uuid4()), "https://hooks.example.org/"
    first = await ann.add(uri, request_id=request_id)
    assert first.secret.startswith("whsec_")
    assert await ann.add(uri, request_id=request_id) == first
    assert await refusal(ann.add(uri + "2", request_id=request_id)) == "REQUEST_ID_REUSED"
    assert len((await ann.webhooks()).webhooks) == 1


async def test_an_account_has_so_many_webhooks_and_they_are_paged(ann: Keeper) -> None:
    made = [
        (await ann.add(f"https://hooks.example.org/{number}")).webhook.name
        for number in range(MAX_WEBHOOKS)
    ]
    assert await refusal(ann.add("https://hooks.example.org/")) == "TOO_MANY_WEBHOOKS"
    first = await ann.webhooks(page_size=15)
    second = await ann.webhooks(page_size=15, page_token=first.next_page_token)
    assert sorted(each.name for each in (*first.webhooks, *second.webhooks)) == sorted(made)
    assert (len(second.webhooks), second.next_page_token) == (5, "")


async def test_deliveries_are_paged_newest_first(ann: Keeper, receiver: Receiver) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    for _ in range(5):
        await ann.person.create()
    everything = [each.event.id for each in await ann.settled(webhook, DELIVERED, 5)]
    first = await ann.page(webhook, page_size=3)
    second = await ann.page(webhook, page_size=3, page_token=first.next_page_token)
    paged = [each.event.id for each in (*first.deliveries, *second.deliveries)]
    assert paged == everything
    assert set(paged) == {each.event["id"] for each in receiver.taken}
    assert await refusal(ann.page(webhook, page_token="x")) == "PAGE_TOKEN_INVALID"


async def test_a_secret_does_not_lie_open_in_the_database(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    created = await ann.add("https://hooks.example.org/")
    assert "whsec_" not in str((await ann.webhooks()).webhooks)
    with psycopg.connect(there[0].database_url.replace("+psycopg", "")) as connection:
        query = "SELECT secret FROM webhooks WHERE id = %s"
        name = created.webhook.name
        row = connection.execute(query, [name.partition("/")[2]]).fetchone()
    assert row is not None
    assert created.secret.encode() not in bytes(row[0])


async def test_what_is_kept_of_a_deleted_meeting_is_told_no_more(
    there: tuple[Stand, ManualClock], ann: Keeper, receiver: Receiver
) -> None:
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting, other = await ann.person.create(), await ann.person.create()
    await ann.person.end(meeting)
    await receiver.until(3)
    await ann.settled(webhook, DELIVERED, 3)
    await ann.delete_meeting(meeting)
    await ann.replay(webhook)
    again = await receiver.until(4)
    assert again[3].event["meeting"]["name"] == other
    assert len(await ann.deliveries(webhook)) == 1
    with psycopg.connect(there[0].database_url.replace("+psycopg", "")) as connection:
        query = "SELECT count(*) FROM deliveries WHERE webhook_id = %s"
        left = connection.execute(query, [webhook.partition("/")[2]]).fetchone()
    assert left == (1,)


async def test_addresses_within_are_refused_unless_they_are_allowed(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    closed = {"webhook_private": False, "webhook_http": False}
    async with a_stand(database, tmp_path, **closed) as (stand, clock):
        ann = Keeper.at(stand, clock)
        for uri in ("http://hooks.example.org/", "https://127.0.0.1/", "https://localhost:8443/"):
            assert await refusal(ann.add(uri)) == "WEBHOOK_ADDRESS_INVALID"
        await ann.add("https://hooks.example.org/")
