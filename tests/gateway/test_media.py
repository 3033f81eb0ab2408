"""Large bodies through the whole gateway: a gigabyte in flat memory, downloads by range, and the same from an S3."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from stack.certificates import authority_path
from tests.gateway.conftest import Client
from tests.rest import Person, reason, sign_up
from tests.running_stack import RunningStack, eventually

GIBIBYTE = 1024**3
PIECE = 1024**2
FLAT_BYTES = 150e6
CARRIERS = ("nginx", "envoy", "library")


class Memory:
    """Watches the largest resident memory of each process that carries a body, while the block runs."""

    def __init__(self, stack: RunningStack) -> None:
        self._processes = [
            each
            for name in CARRIERS
            for parent in [psutil.Process(stack.pid(name))]
            for each in (parent, *parent.children(recursive=True))
        ]
        self._done = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> Memory:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            for process in self._processes:
                name = f"{process.name()} {process.pid}"
                self.peaks[name] = max(self.peaks.get(name, 0), process.memory_info().rss)


def sent(size: int) -> Iterator[bytes]:
    piece = bytes(PIECE)
    for _ in range(size // PIECE):
        yield piece
    yield bytes(size % PIECE)


def test_a_gibibyte_goes_through_in_flat_memory(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    with Memory(edge) as memory:
        answer = ann.call("POST", "/api/v1/media", params={"name": "big"}, content=sent(GIBIBYTE))
    assert answer.status_code == 200, answer.text
    assert int(answer.json()["size_bytes"]) == GIBIBYTE
    assert len(memory.peaks) >= len(CARRIERS)
    assert {name: peak for name, peak in memory.peaks.items() if peak >= FLAT_BYTES} == {}
    with (
        Memory(edge) as memory,
        ann.http.stream(
            "GET", f"/api/v1/{answer.json()['name']}:download", headers=_token(ann)
        ) as download,
    ):
        assert sum(map(len, download.iter_raw())) == GIBIBYTE
    assert {name: peak for name, peak in memory.peaks.items() if peak >= FLAT_BYTES} == {}
    assert ann.call("DELETE", f"/api/v1/{answer.json()['name']}").status_code == 200


def _token(person: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {person.access_token}"}


def test_what_says_that_it_is_too_large_is_refused_at_once(edge: RunningStack) -> None:
    asking = http.client.HTTPConnection("127.0.0.1", edge.layout.port("nginx", "http"), 30)
    asking.putrequest("POST", "/api/v1/media?name=a")
    asking.putheader("Content-Length", str(GIBIBYTE + 1))
    asking.endheaders()
    answer = asking.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["details"][0]["reason"] == "REQUEST_TOO_LARGE"
    asking.close()


def files(stack: RunningStack) -> set[Path]:
    return set((stack.state / "data" / "library").iterdir())


def test_an_upload_that_breaks_off_is_not_there(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    before = files(edge)

    def broken() -> Iterator[bytes]:
        yield bytes(3 * PIECE)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        ann.call("POST", "/api/v1/media", params={"name": "a"}, content=broken())
    assert ann.call("GET", "/api/v1/media").json()["media"] == []
    eventually(lambda: files(edge) <= before, "nothing of it lies in the folder")


@pytest.fixture(scope="module", params=["folder", "s3"])
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Give somebody with a library on a folder, and on a real S3."""
    if request.param == "folder":
        edge: RunningStack = request.getfixturevalue("edge")
        transport = httpx.HTTPTransport(local_address="127.0.200.1")
        base = f"http://127.0.0.1:{edge.layout.port('nginx', 'http')}"
        with httpx.Client(base_url=base, transport=transport, timeout=60) as http:
            yield sign_up(http)
        return
    secured: RunningStack = request.getfixturevalue("secured")
    trusted = ssl.create_default_context(cafile=authority_path(secured.state / "secrets"))
    with httpx.Client(base_url=secured.status.url, verify=trusted, timeout=60) as http:
        yield sign_up(http)


def test_a_file_goes_in_and_comes_out_by_name_and_by_range(person: Person) -> None:
    content = os.urandom(700_000)
    added = person.call("POST", "/api/v1/media", params={"name": "Grüße 会议.bin"}, content=content)
    media = added.json()
    assert media["sha256"] == hashlib.sha256(content).hexdigest()
    assert person.call("GET", f"/api/v1/{media['name']}").json() == media
    address = f"/api/v1/{media['name']}:download"
    whole = person.call("GET", address)
    assert whole.content == content
    assert (
        "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E4%BC%9A%E8%AE%AE.bin"
        in whole.headers["content-disposition"]
    )
    assert whole.headers["content-type"] == media["content_type"]
    part = person.call("GET", address, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    tail = person.call("GET", address, headers={"range": "bytes=-5"})
    assert (tail.status_code, tail.content) == (206, content[-5:])
    beyond = person.call("GET", address, headers={"range": "bytes=900000-"})
    assert beyond.status_code == 416
    same = person.call("GET", address, headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_a_file_is_its_owners_alone_until_it_is_gone(person: Person) -> None:
    added = person.call("POST", "/api/v1/media", params={"name": "a"}, content=b"secret")
    address = f"/api/v1/{added.json()['name']}"
    eve = sign_up(person.http, "eve")
    for method, path in (("GET", address), ("GET", f"{address}:download"), ("DELETE", address)):
        answer = eve.call(method, path)
        assert (answer.status_code, reason(answer)) == (404, "MEDIA_NOT_FOUND")
    assert person.http.get(f"{address}:download").status_code == 401
    assert person.call("DELETE", address).status_code == 200
    gone = person.call("GET", f"{address}:download")
    assert (gone.status_code, reason(gone)) == (404, "MEDIA_NOT_FOUND")


def test_the_list_has_pages(person: Person) -> None:
    zoe = sign_up(person.http, "zoe")
    names = [
        zoe.call("POST", "/api/v1/media", params={"name": str(n)}, content=b"x").json()["name"]
        for n in range(3)
    ]
    first = zoe.call("GET", "/api/v1/media", params={"page_size": 2}).json()
    token = {"page_size": 2, "page_token": first["next_page_token"]}
    rest = zoe.call("GET", "/api/v1/media", params=token).json()
    listed = [media["name"] for media in (*first["media"], *rest["media"])]
    assert listed == list(reversed(names))
    assert rest["next_page_token"] == ""


@pytest.mark.parametrize(
    ("params", "content", "why"),
    [({}, b"x", "FILE_NAME_MISSING"), ({"name": "a"}, b"", "FILE_EMPTY"), ({"name": "a/b"}, b"x", "INVALID_ARGUMENT"), ({"name": "a"}, b"MZ\x90", "FILE_TYPE_REFUSED")],
)  # fmt: skip
def test_a_bad_upload_is_told_why(
    person: Person, params: dict[str, str], content: bytes, why: str
) -> None:
    answer = person.call("POST", "/api/v1/media", params=params, content=content)
    assert (answer.status_code, reason(answer)) == (400, why)
