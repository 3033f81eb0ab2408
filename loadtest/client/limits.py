"""Rate limits: a bounded burst of sign-ins that can't succeed, until the gateway refuses one, and how it does that.

The password is empty, so that the user service turns each away without hashing; the gateway counts them all the same.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import httpx

from loadtest.client.answers import answered, check, json_object, read
from loadtest.client.cases import Failed, Skipped, case
from loadtest.client.visit import Visit

PATH = "/api/v1/auth/login"
CREDENTIALS = {"username_or_email": "nobody", "password": ""}
MOST_REQUESTS = 2000
AT_ONCE = 20
LONGEST_WAIT_SECONDS = 30
TURNED_AWAY, LIMITED = 400, 429
EXPECTED = frozenset({TURNED_AWAY, 401, LIMITED})
RESOURCE_EXHAUSTED = 8


def _refusal(visit: Visit) -> httpx.Response:
    if visit.limited is None:
        raise Failed("there is no refusal to look at")
    return visit.limited


@case("limits", "a burst of sign-ins ends with 429")
async def burst(visit: Visit) -> str:
    """At most 2,000; twenty at once."""
    async with visit.gateway.http(connections=AT_ONCE) as http:
        for sent in range(AT_ONCE, MOST_REQUESTS + 1, AT_ONCE):
            visit.limited = await _volley(http)
            if visit.limited is not None:
                return f"within {sent} requests"
    raise Skipped(f"limits are off: none of {MOST_REQUESTS:,} requests was refused")


@case("limits", "Retry-After says how long to wait", needs=(burst,))
async def retry_after(visit: Visit) -> str:
    """In seconds (RFC 9110 §10.2.3)."""
    found = _number(_refusal(visit), "retry-after")
    check(found >= 1, "Retry-After is 0: the client would ask again at once")
    return f"Retry-After: {found}"


@case("limits", "RateLimit-Limit, -Remaining and -Reset are there", needs=(burst,))
async def headers(visit: Visit) -> str:
    """As draft-ietf-httpapi-ratelimit-headers had them."""
    answer = _refusal(visit)
    limit, remaining, reset = (
        _number(answer, f"ratelimit-{name}") for name in ("limit", "remaining", "reset")
    )
    check(limit >= 1, "RateLimit-Limit is 0")
    check(remaining == 0, f"RateLimit-Remaining is {remaining}, though nothing remains")
    return f"limit {limit}, remaining {remaining}, reset {reset} s"


@case("limits", "the body is an error like all others", needs=(burst,))
async def refusal_body(visit: Visit) -> str:
    """google.rpc.Status in JSON, RESOURCE_EXHAUSTED."""
    status = json_object(_refusal(visit).text)
    check(set(status) == {"code", "message", "details"}, f"its fields are {sorted(status)}")
    code, text = read(status, "code", int), read(status, "message", str)
    check(code == RESOURCE_EXHAUSTED, f"code {code}, not {RESOURCE_EXHAUSTED}")
    read(status, "details", list)
    return text


@case("limits", "after Retry-After it answers again", needs=(retry_after,))
async def afterwards(visit: Visit) -> str:
    """One request, when the time is up."""
    wait = _number(_refusal(visit), "retry-after")
    if wait > LONGEST_WAIT_SECONDS:
        raise Skipped(f"{wait} s is longer than this program waits")
    await asyncio.sleep(wait)
    status = (await visit.http.post(PATH, json=CREDENTIALS)).status_code
    check(status in EXPECTED - {LIMITED}, f"HTTP {status} after {wait} s")
    return f"waited {wait} s"


async def _volley(http: httpx.AsyncClient) -> httpx.Response | None:
    """Send some requests at once; returns the first that was limited. Raises Failed for what should not come."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_try(http)) for _ in range(AT_ONCE)]
    answers = [answer for task in tasks if (answer := task.result()) is not None]
    check(len(answers) == AT_ONCE, f"{AT_ONCE - len(answers)} of {AT_ONCE} requests got no answer")
    for answer in answers:
        if answer.status_code not in EXPECTED:
            answered(answer, TURNED_AWAY)
    return next((answer for answer in answers if answer.status_code == LIMITED), None)


async def _try(http: httpx.AsyncClient) -> httpx.Response | None:
    with suppress(httpx.HTTPError):
        return await http.post(PATH, json=CREDENTIALS)
    return None


def _number(answer: httpx.Response, header: str) -> int:
    """Read a header's leading number. Raises Failed."""
    text = answer.headers.get(header, "")
    number = re.match(r"\d+", text)
    if number is None:
        raise Failed(f"{header} is {text!r}" if text else f"there is no {header}")
    return int(number[0])
