"""Runs a scenario: so many calls by so many workers, over grpc.aio, each timed, none repeated.

A run is bounded in calls and in time, and every call has a deadline. When the time is over no new call begins, and
those that go on are waited for (ghz's `duration-stop: wait`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message

from loadtest.contract import ContractError, Method
from loadtest.ghz_report import Outcome, Report
from loadtest.scenario import Scenario, ScenarioError, located
from loadtest.templates import Environment, Filling, Template, TemplateError, call_fields

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels to one address share a connection
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
CUT_TEXT = "context canceled"
"""What Go's gRPC says of a call that its client has broken off."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a call sends."""

    messages: list[Message]
    metadata: list[tuple[str, str]]


class Requests:
    """Makes what each call sends, from a scenario's data and metadata, as ghz does."""

    def __init__(self, scenario: Scenario, method: Method, environment: Environment) -> None:
        several = isinstance(scenario.data, list) and not method.streams_up
        documents = scenario.data if several else [scenario.data]
        try:
            self._data = [Template.parse(_json(each)) for each in documents]
            self._metadata = Template.parse(_json(scenario.metadata))
        except TemplateError as error:
            raise ScenarioError(f"{scenario.path}: {error}") from None
        self._scenario = scenario
        self._method = method
        self._fields = method.call_fields
        self._environment = environment
        self._static: dict[int, list[Message]] = {}

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that are read."""
        return frozenset().union(*(each.variables for each in (*self._data, self._metadata)))

    def prepared(self, number: int, worker: str) -> Prepared:
        """Make what call `number` (from 0) sends. Raises ScenarioError."""
        place = number % len(self._data)
        filling = Filling(call_fields(number, worker, self._fields), self._environment)
        try:
            metadata = json.loads(self._metadata.fill(filling))
            pairs = [(key.lower(), value) for key, value in metadata.items()]
            return Prepared(self._messages(place, filling), pairs)
        except (TemplateError, ContractError, ValueError) as error:
            raise ScenarioError(f"{self._scenario.path}: call {number}: {error}") from None

    def _messages(self, place: int, filling: Filling) -> list[Message]:
        if place in self._static:
            return self._static[place]
        template = self._data[place]
        document = json.loads(template.fill(filling))
        each = document if isinstance(document, list) else [document]
        messages = [self._method.message(_json(value)) for value in each]
        if not template.has_actions:
            self._static[place] = messages
        return messages


@dataclass(slots=True)
class Pace:
    """Gives out the calls' numbers: at most `most_calls`, at most `rps` a second, none after the time is over."""

    scenario: Scenario
    began: float = field(default_factory=time.monotonic)
    given: int = 0

    async def next(self) -> int | None:
        """Wait until the next call is due, and give its number; None when there is none."""
        if self.given >= self.scenario.most_calls:
            return None
        number, self.given = self.given, self.given + 1
        due = self.began + (number / self.scenario.rps if self.scenario.rps else 0.0)
        over = self.began + self.scenario.most_seconds
        if max(due, time.monotonic()) >= over:
            return None
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        return number


async def run(scenario: Scenario, method: Method, environment: Environment) -> Report:
    """Run a scenario. Raises ScenarioError when a request can't be made."""
    requests = Requests(scenario, method, environment)
    requests.prepared(0, "")  # what is wrong with the first is wrong before any load
    channels = [open_channel(scenario) for _ in range(scenario.connections)]
    outcomes: list[Outcome] = []
    began, start = datetime.now().astimezone(), time.perf_counter_ns()
    pace = Pace(scenario)
    try:
        async with asyncio.TaskGroup() as workers:
            for number in range(min(scenario.concurrency, scenario.most_calls)):
                caller = Caller(scenario, method, channels[number % len(channels)])
                workers.create_task(_work(f"g{number}", pace, requests, caller, outcomes))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        nanoseconds = time.perf_counter_ns() - start
        await asyncio.gather(*(channel.close() for channel in channels))
    return Report(scenario, began, nanoseconds, outcomes)


def open_channel(scenario: Scenario) -> grpc.aio.Channel:
    """Open a channel to a scenario's host: plaintext where it says `insecure`, else TLS. Raises ScenarioError."""
    if scenario.insecure:
        return grpc.aio.insecure_channel(scenario.host, OPTIONS)
    try:
        roots = located(scenario.cacert).read_bytes() if scenario.cacert else None
    except OSError as error:
        raise ScenarioError(f"{scenario.path}: 'cacert': {error}") from None
    return grpc.aio.secure_channel(scenario.host, grpc.ssl_channel_credentials(roots), OPTIONS)


async def _work(
    worker: str, pace: Pace, requests: Requests, caller: Caller, outcomes: list[Outcome]
) -> None:
    while (number := await pace.next()) is not None:
        outcomes.append(await caller.outcome(requests.prepared(number, worker)))


class Caller:
    """Makes calls of one method on one channel."""

    def __init__(self, scenario: Scenario, method: Method, channel: grpc.aio.Channel) -> None:
        self._scenario = scenario
        self._up, self._down = method.streams_up, method.streams_down
        kinds: Mapping[tuple[bool, bool], Any] = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        self._start = kinds[self._up, self._down](
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    async def outcome(self, prepared: Prepared) -> Outcome:
        """Make one call, to its end."""
        start = time.perf_counter_ns()
        code, text, cut = grpc.StatusCode.OK, "", False
        try:
            cut = await self._made(prepared)
        except grpc.aio.AioRpcError as error:
            code, text = error.code(), error.details() or ""
        if cut:
            code, text = grpc.StatusCode.CANCELLED, CUT_TEXT
        return Outcome(datetime.now(UTC), time.perf_counter_ns() - start, code, text, cut)

    async def _made(self, prepared: Prepared) -> bool:
        """Call, and read all that is answered; True when we broke it off. Raises AioRpcError."""
        what = self._said(prepared.messages) if self._up else prepared.messages[0]
        call = self._start(what, timeout=self._scenario.timeout, metadata=prepared.metadata)
        if not self._down:
            await call
            return False
        if self._up:  # what the client says is what is bounded: the server ends the stream
            async for _ in call:
                pass
            return False
        return await self._read(call)

    async def _read(self, call: Any) -> bool:
        """Read a stream to its end, or until the scenario has had enough of it."""
        most = self._scenario.stream_call_count
        try:
            async with asyncio.timeout(self._scenario.stream_call_duration or None):
                read = 0
                async for _ in call:
                    read += 1
                    if read == most:
                        call.cancel()
                        return True
        except TimeoutError:
            call.cancel()
            return True
        return False

    async def _said(self, messages: list[Message]) -> AsyncIterator[Message]:
        """Give a stream's messages, once each, or round and round up to the scenario's count."""
        count = self._scenario.stream_call_count
        bounded: Iterator[Message] = iter(messages)
        if count:
            bounded = itertools.islice(itertools.cycle(messages), count)
        until = time.monotonic() + (self._scenario.stream_call_duration or float("inf"))
        for place, message in enumerate(bounded):
            if place and self._scenario.stream_interval:
                await asyncio.sleep(self._scenario.stream_interval)
            if time.monotonic() >= until:
                return
            yield message


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


__all__ = ["Requests", "open_channel", "run"]
