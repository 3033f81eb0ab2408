"""The log of events on real Postgres: its order, streams that go on where they broke off, and deliveries by any luck."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import db
from chassis.auth import SessionEnded, UserTokenVerifier, set_principal
from chassis.clock import ManualClock
from chassis.db import Database
from services.meeting.app import MIGRATIONS
from services.meeting.events import delivery_store
from services.meeting.events import watch as event_watch
from services.meeting.events.delivery_store import LEASE, Claim, DeliveryStore
from services.meeting.events.log import KEPT, EventLog
from services.meeting.events.tables import NewsRow, WebhookRow
from services.meeting.events.watch import WATCHERS_OF_ONE, EventWatch
from services.meeting.events.webhook import LONGEST_DELAY, DeliveryState
from services.meeting.transcripts.summary import SETTLING
from tests.meeting_stand import PATIENCE_SECONDS, Stand, after, refusal, said
from tests.servers import PostgresServer
from tests.user_keys import Keys, credentials
from tests.webhook_stand import Keeper, a_stand, kinds, read
from tests.wire.meeting.test_summaries import first_and_last

HOST = uuid4()


@pytest.fixture(scope="module")
async def there(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stand, ManualClock]]:
    """Give a stand that the tests share: each has people of its own."""
    with postgres.migrated_database("meeting") as address:
        async with a_stand(lambda _: address, tmp_path_factory.mktemp("events")) as it:
            it[0].neighbours.summarise = first_and_last
            yield it


@pytest.fixture
def ann(there: tuple[Stand, ManualClock]) -> Keeper:
    return Keeper.at(*there)


@pytest.fixture(scope="module")
async def bare(postgres: PostgresServer) -> AsyncIterator[Database]:
    """Give the tables without a service, so that nobody numbers anything but the test."""
    with postgres.migrated_database("meeting") as address:
        async with db.connected(address, MIGRATIONS) as database:
            yield database


async def happen(session: AsyncSession, meeting_id: UUID, what: int = 1) -> bytes:
    """Write down that something has happened; returns what the event is known by."""
    mark = uuid4().bytes
    row = {"host_id": HOST, "meeting_id": meeting_id, "type": what, "payload": mark}
    await session.execute(insert(NewsRow).values(**row, create_time=ManualClock().now()))
    return mark


async def number_all(events: EventLog, clock: ManualClock) -> None:
    while await events.number(clock.now()):
        pass


async def test_what_is_committed_late_is_not_missed_by_who_has_read_on(bare: Database) -> None:
    events, clock, late_committed = EventLog(bare), ManualClock(), asyncio.Event()
    begin = (await events.bounds()).last

    async def late() -> bytes:
        async with bare.begin() as session:
            mark = await happen(session, uuid4())
            is_written.set()
            await late_committed.wait()
        return mark

    is_written = asyncio.Event()
    task = asyncio.create_task(late())
    await is_written.wait()
    async with bare.begin() as session:
        early = await happen(session, uuid4())
    await number_all(events, clock)
    first = await events.page(HOST, begin, 10)
    assert [each.payload for each in first] == [early]
    late_committed.set()
    mark = await task
    await number_all(events, clock)
    assert [each.payload for each in await events.page(HOST, first[-1].sequence, 10)] == [mark]


async def test_numbers_have_no_gaps_though_several_give_them(bare: Database) -> None:
    events, clock, meetings = EventLog(bare), ManualClock(), [uuid4() for _ in range(4)]
    begin = (await events.bounds()).last
    marks: dict[UUID, list[bytes]] = defaultdict(list)

    async def write(meeting_id: UUID) -> None:
        for _ in range(10):
            async with bare.begin() as session:
                marks[meeting_id].append(await happen(session, meeting_id))

    async def give() -> None:
        while sum(map(len, marks.values())) < 40 or await events.number(clock.now()):
            await events.number(clock.now())

    await asyncio.gather(*map(write, meetings), give(), give())
    await number_all(events, clock)
    logged = await events.page(HOST, begin, 100)
    assert [each.sequence for each in logged] == list(range(begin + 1, begin + 41))
    for told in marks.values():
        assert [each.payload for each in logged if each.payload in told] == told


async def test_what_was_kept_long_enough_goes_and_cursors_into_it_with_it(bare: Database) -> None:
    events, clock = EventLog(bare), ManualClock()
    async with bare.begin() as session:
        await happen(session, uuid4())
    await number_all(events, clock)
    assert await events.sweep(clock.now()) == 0
    clock.advance(KEPT.total_seconds())
    while await events.sweep(clock.now()):
        pass
    bounds = await events.bounds()
    assert (bounds.swept, await events.page(HOST, 0, 10)) == (bounds.last, [])


Luck = st.lists(
    st.one_of(
        st.tuples(st.just("happens"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["taken", "refused", "dies", "lost"]), st.integers(0, 3)),
        st.tuples(st.sampled_from(["number", "fill", "claim", "hour"]), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=15)
@given(Luck)
async def test_whatever_fails_each_meeting_is_told_in_order_and_nothing_is_lost(
    bare: Database, luck: list[tuple[str, int]]
) -> None:
    await Deliveries(bare).go_through(luck)


async def test_who_took_too_long_changes_nothing_any_more(bare: Database) -> None:
    it = Deliveries(bare)
    await it.begin()
    await it.step("happens", 0)
    await it.step("number", 0)
    await it.step("fill", 0)
    await it.step("claim", 0)
    it.clock.advance(LEASE.total_seconds())
    await it.step("claim", 0)
    late, other = it.claims
    assert await it.store.settle(other, 200, it.clock.now(), 0) is DeliveryState.DELIVERED
    assert await it.store.settle(late, 500, it.clock.now(), 0) is None
    it.clock.advance(LONGEST_DELAY.total_seconds())
    assert not await it.step("claim", 0)


async def test_what_is_numbered_while_another_process_fills_is_filled_too(
    bare: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, really_fill = Deliveries(bare), delivery_store._fill
    await it.begin()
    numbering: list[asyncio.Task[bool]] = []

    async def fill_while_another_numbers(*arguments: Any) -> None:
        await really_fill(*arguments)
        numbering.append(asyncio.create_task(it.step("number", 0)))
        await asyncio.wait(numbering, timeout=0.1)  # to its end, or to where it waits for us

    await it.step("happens", 0)
    await it.step("number", 0)
    await it.step("happens", 1)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(delivery_store, "_fill", fill_while_another_numbers)
        await it.step("fill", 0)
    await asyncio.gather(*numbering)
    await it.step("fill", 0)
    assert [await it.step("claim", 0) for _ in range(3)] == [True, True, False]


class Deliveries:
    """A receiver, and processes that deliver to it. `taken` is what it took, by meeting, in order of its taking it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events, self.store = EventLog(database), DeliveryStore(database)
        self.clock = ManualClock()
        self.meetings = [uuid4() for _ in range(3)]
        self.happened: dict[UUID, list[bytes]] = defaultdict(list)
        self.taken: dict[UUID, list[bytes]] = defaultdict(list)
        self.claims: list[Claim] = []

    async def begin(self) -> None:
        """Have one webhook, which nothing is on its way to."""
        await number_all(self.events, self.clock)
        async with self.database.begin() as session:
            await session.execute(text("DELETE FROM webhooks"))
            last = (await self.events.bounds()).last
            hook = {"uri": "https://x", "secret": b"", "types": [], "create_time": self.clock.now()}
            session.add(WebhookRow(id=uuid4(), owner_id=HOST, position=last, **hook))

    async def go_through(self, luck: list[tuple[str, int]]) -> None:
        await self.begin()
        for what, which in luck:
            await self.step(what, which)
        self.claims.clear()
        await number_all(self.events, self.clock)
        while await self.store.fill(self.clock.now()):
            pass
        for _ in range(2):
            self.clock.advance((LEASE + LONGEST_DELAY).total_seconds())
            while await self.step("claim", 0):
                await self.step("taken", 0)
        for meeting_id, marks in self.happened.items():
            seen = list(dict.fromkeys(self.taken[meeting_id]))
            assert seen == marks

    async def step(self, what: str, which: int) -> bool:
        """Do one thing; tells whether there was something to claim."""
        now = self.clock.now()
        match what:
            case "happens":
                meeting_id = self.meetings[which]
                async with self.database.begin() as session:
                    self.happened[meeting_id].append(await happen(session, meeting_id))
            case "number":
                await self.events.number(now)
            case "fill":
                await self.store.fill(now)
            case "hour":
                self.clock.advance(3600)
            case "claim":
                if (claim := await self.store.claim(now, [])) is None:
                    return False
                self.claims.append(claim)
                return True
            case _ if self.claims:
                await self.end(self.claims.pop(which % len(self.claims)), what)
        return False

    async def end(self, claim: Claim, how: str) -> None:
        """A POST ends: it is taken, refused, or whoever made it dies; `lost`: after it was taken, before it is marked."""
        if how in ("taken", "lost"):
            (meeting_id,) = [each for each, all_ in self.happened.items() if claim.payload in all_]
            self.taken[meeting_id].append(claim.payload)
        if how in ("taken", "refused"):
            status = 200 if how == "taken" else 500
            await self.store.settle(claim, status, self.clock.now(), 0.5)


async def test_a_stream_goes_on_exactly_where_it_broke_off(ann: Keeper) -> None:
    meeting = await ann.person.create()
    first = ann.watch()
    opened = asyncio.create_task(read(first, 1))
    title = 0
    while not opened.done():  # the stream begins when it is open, which is not told
        await ann.update(meeting, f"try {(title := title + 1)}")
    (event,) = await opened
    first.cancel()
    for number in range(3):
        await ann.update(meeting, f"{number}")
    second = ann.watch(event.cursor)
    first_title = event.meeting.title.removeprefix("try ")  # or "Heard", of its making
    seen = int(first_title) if first_title.isdecimal() else 0
    missed = await read(second, 3 + title - seen)
    assert [each.meeting.title for each in missed[-3:]] == list("012")
    await ann.person.end(meeting)
    assert kinds(await read(second, 1)) == ["ENDED"]
    again = ann.watch(missed[-2].cursor)
    assert (await read(again, 2))[0] == missed[-1]
    second.cancel()
    again.cancel()


async def test_a_stream_has_ones_own_meetings_alone_and_one_of_them_on_request(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    bob = Keeper.at(*there)
    webhook = await ann.add("https://hooks.example.org/")
    one, other = await ann.person.create(), await ann.person.create()
    theirs = await bob.person.create()
    begin = (await ann.settled(webhook.webhook.name, 0, 2))[-1].event
    await bob.person.end(theirs)
    await ann.person.end(other)
    await ann.person.end(one)
    stream, narrow = ann.watch(begin.cursor), ann.watch(begin.cursor, one)
    names = [each.meeting.name for each in await read(stream, 3)]
    assert names == [other, other, one]
    assert [each.meeting.name for each in await read(narrow, 1)] == [one]
    assert await refusal(ann.watch(meeting=theirs).read()) == "NOT_HOST"
    assert await refusal(ann.watch(meeting="meetings/aaa-bbbb-ccc").read()) == "MEETING_NOT_FOUND"
    assert await refusal(ann.watch("nonsense").read()) == "CURSOR_INVALID"
    stream.cancel()
    narrow.cancel()
    await ann.remove(webhook.webhook.name)


async def test_somebody_has_so_many_streams(ann: Keeper) -> None:
    streams = [ann.watch() for _ in range(WATCHERS_OF_ONE + 1)]
    reading = [asyncio.create_task(refusal(each.read())) for each in streams]
    done, pending = await asyncio.wait(
        reading, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    assert [each.result() for each in done] == ["TOO_MANY_WATCHERS"]
    for each in pending:
        each.cancel()
    for stream in streams:
        stream.cancel()
    await asyncio.wait(pending)


async def test_a_stream_ends_with_the_session(
    bare: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_watch, "SESSION_SECONDS", 0.01)
    key, ended = Ed25519PrivateKey.generate(), set[str]()

    async def published() -> dict[str, jwt.PyJWK]:
        keys = (await Keys(key).GetJsonWebKeySet(None, None)).keys  # type: ignore[arg-type]
        each = keys[0]
        fields = {"kty": each.kty, "crv": each.crv, "x": each.x, "kid": each.kid}
        return {each.kid: jwt.PyJWK(fields, "EdDSA")}

    token = dict(credentials(key))["authorization"].removeprefix("Bearer ")
    caller = await UserTokenVerifier(published, ended=ended).verify(token)
    set_principal(caller)
    watching = EventWatch(EventLog(bare), 0.01).watch(uuid4(), None)
    reading = asyncio.ensure_future(anext(watching))
    done, _ = await asyncio.wait([reading], timeout=0.1)
    assert not done
    ended.add(caller.session_id)
    with pytest.raises(SessionEnded):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reading


async def test_a_transcript_and_a_summary_are_told_of_when_they_are_there(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    stand, clock = there
    webhook = (await ann.add("https://hooks.example.org/")).webhook.name
    meeting = await ann.person.create()
    await ann.person.switch(meeting, captions=True, transcript=True, summary=True)
    participant = await ann.person.join(meeting)
    await ann.person.agree(participant, transcript=True)
    begin = (await ann.settled(webhook, 0, 2))[0].event
    stream = ann.watch(begin.cursor)
    now = (clock.now() - after(0)).total_seconds()
    await stand.record(said(participant, "the budget", after(now)))
    await ann.person.end(meeting)
    assert kinds(await read(stream, 1)) == ["ENDED"]
    clock.advance(SETTLING.total_seconds())
    told = await read(stream, 2)
    assert {each.subject for each in told} == {f"{meeting}/transcript", f"{meeting}/summary"}
    assert sorted(kinds(told)) == ["SUMMARY_READY", "TRANSCRIPT_READY"]
    stream.cancel()
    await ann.remove(webhook)


async def test_who_waits_in_the_lobby_is_told(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    webhook = (await ann.add("https://hooks.example.org/")).webhook.name
    meeting = await ann.person.create()
    await ann.person.switch(meeting, lobby=True)
    begin = (await ann.settled(webhook, 0, 2))[0].event
    bob = Keeper.at(*there)
    await bob.person.join(meeting, "Bob")
    stream = ann.watch(begin.cursor)
    (waiting,) = await read(stream, 1)
    assert kinds([waiting]) == ["PARTICIPANT_WAITING"]
    assert waiting.participant.display_name == "Bob"
    stream.cancel()
    await ann.remove(webhook)
