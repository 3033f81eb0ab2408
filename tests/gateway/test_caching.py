"""Kept answers: for those who ask, of one's own alone, never older than they were allowed to be, and fetched once."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.gateway.conftest import Client
from tests.rest import Person, sign_up
from tests.running_stack import RunningStack, eventually

KEPT = {"cache-control": "max-age=5"}
FROM_CACHE = {"HIT", "STALE", "UPDATING"}
"""A machine that stands still for a second makes of the first one of the others."""
ME = "/api/v1/users/me"


def test_an_answer_is_kept_for_who_asks_for_one(visitor: Client) -> None:
    ann = sign_up(visitor())
    assert ann.call("GET", ME).headers["x-cache-status"] == "BYPASS"
    assert ann.call("GET", ME, headers=KEPT).headers["x-cache-status"] == "MISS"
    assert ann.call("GET", ME, headers=KEPT).headers["x-cache-status"] in FROM_CACHE


def test_nobody_gets_anothers_answer(visitor: Client) -> None:
    client = visitor()
    ann, bob = sign_up(client, "ann"), sign_up(client, "bob")
    for _ in range(2):
        for person in (ann, bob):
            assert person.call("GET", ME, headers=KEPT).json()["name"] == person.name
    assert client.get(ME, headers=KEPT).status_code == 401
    forged = {**KEPT, "authorization": f"Bearer {ann.access_token[:-4]}AAAA"}
    assert client.get(ME, headers=forged).status_code == 401


def test_who_does_not_ask_for_a_kept_answer_reads_what_they_wrote(visitor: Client) -> None:
    ann = sign_up(visitor())
    ann.call("GET", ME, headers=KEPT)
    ann.call("PATCH", ME, json={"display_name": "Annie"})
    assert ann.call("GET", ME).json()["display_name"] == "Annie"


def test_an_old_answer_is_given_while_a_new_one_is_fetched(visitor: Client) -> None:
    ann = sign_up(visitor())
    ann.call("GET", ME, headers=KEPT)
    ann.call("PATCH", ME, json={"display_name": "Annie"})
    seen: list[str] = []

    def renewed() -> bool:
        answer = ann.call("GET", ME, headers=KEPT)
        if answer.status_code == 429:
            return False
        seen.append(answer.headers["x-cache-status"])
        return bool(answer.json()["display_name"] == "Annie")

    eventually(renewed, "the new name is seen")
    assert {"STALE", "UPDATING", "EXPIRED"} & set(seen)


def test_many_who_ask_at_once_are_answered_by_one_call(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    clients = [visitor() for _ in range(10)]
    gate = threading.Barrier(len(clients))

    def ask(client: httpx.Client) -> str:
        gate.wait()
        headers = {**KEPT, "authorization": f"Bearer {ann.access_token}"}
        return str(client.get("/api/v1/meetings", headers=headers).headers["x-cache-status"])

    with ThreadPoolExecutor(len(clients)) as pool:
        statuses = list(pool.map(ask, clients))
    assert statuses.count("MISS") == 1, statuses
    assert set(statuses) <= {"MISS", *FROM_CACHE}


def test_an_answer_that_is_the_same_is_not_sent_again(visitor: Client) -> None:
    ann = sign_up(visitor())
    first = ann.call("GET", ME)
    tag = {"if-none-match": first.headers["etag"]}
    again = ann.call("GET", ME, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    ann.call("PATCH", ME, json={"display_name": "Annie"})
    assert ann.call("GET", ME, headers=tag).json()["display_name"] == "Annie"


def test_refusals_are_not_kept(visitor: Client) -> None:
    ann = sign_up(visitor())
    absent = "/api/v1/meetings/zzz-zzzz-zzz"
    statuses = [ann.call("GET", absent, headers=KEPT).headers["x-cache-status"] for _ in range(3)]
    assert statuses == ["MISS"] * 3


def test_the_keys_are_kept_for_all(visitor: Client) -> None:
    client = visitor()
    client.get("/.well-known/jwks.json")
    assert client.get("/.well-known/jwks.json").headers["x-cache-status"] in FROM_CACHE


def test_no_token_lies_in_the_cache(visitor: Client, edge: RunningStack) -> None:
    ann: Person = sign_up(visitor())
    ann.call("GET", ME, headers=KEPT)
    entries = [
        path.read_bytes() for path in (edge.state / "run/nginx/cache").rglob("*") if path.is_file()
    ]
    assert any(ann.username.encode() in entry for entry in entries)
    for part in ann.access_token.split("."):
        assert not any(part.encode() in entry for entry in entries)


def test_the_apps_files_are_for_ever_and_small(visitor: Client) -> None:
    client = visitor()
    page = client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    script = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)[0]
    plain = client.get(script, headers={"accept-encoding": "identity"})
    assert "immutable" in plain.headers["cache-control"]
    for coding in ("br", "gzip"):
        with client.stream("GET", script, headers={"accept-encoding": coding}) as packed:
            size = len(b"".join(packed.iter_raw()))
            assert packed.headers["content-encoding"] == coding
            assert packed.headers["content-type"].startswith("text/javascript")
            assert "Accept-Encoding" in packed.headers["vary"]
        assert size * 2 < len(plain.content)
    tag = {"if-none-match": page.headers["etag"]}
    assert client.get("/", headers=tag).status_code == 304


def test_long_answers_are_compressed_and_tokens_never(visitor: Client) -> None:
    ann = sign_up(visitor())
    for _ in range(6):
        ann.create_meeting(description="x" * 400)
    listed = ann.call("GET", "/api/v1/meetings", headers={"accept-encoding": "br"})
    assert listed.headers.get("content-encoding") == "br"
    body = {"refresh_token": ann.refresh_token}
    fresh = ann.http.post(
        "/api/v1/auth/refresh", json=body, headers={"accept-encoding": "br, gzip"}
    )
    assert "content-encoding" not in fresh.headers
