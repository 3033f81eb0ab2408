"""The media library: a file goes up, is listed, comes down whole and in part, and is deleted."""

from __future__ import annotations

import hashlib

from loadtest.client.answers import answered, body, check, objects, refused, text_of
from loadtest.client.cases import case
from loadtest.client.samples import png
from loadtest.client.user import register
from loadtest.client.visit import Visit

FILE_NAME = "visit.png"
FILE = png()
FIRST, LAST = 1000, 1999
"""Of the part that is asked for; both are in it (RFC 9110 §14.1.2)."""


@case("media", "upload", needs=(register,))
async def upload(visit: Visit) -> str:
    """As the raw body; what comes back describes it."""
    headers = {"content-type": "image/png"}
    options = {"params": {"name": FILE_NAME}, "content": FILE, "headers": headers}
    made = body(await visit.call("POST", "/api/v1/media", **options))
    visit.media = text_of(made, "name")
    check(text_of(made, "sha256") == hashlib.sha256(FILE).hexdigest(), "the SHA-256 is another")
    return f"{visit.media}, {len(FILE):,} bytes"


@case("media", "list", needs=(upload,))
async def list_media(visit: Visit) -> str:
    """The new file is in it."""
    found = objects(body(await visit.get("/api/v1/media")), "media")
    check(visit.media in [each.get("name") for each in found], "the new file is not listed")
    return f"{len(found)} listed"


@case("media", "describe", needs=(upload,))
async def describe(visit: Visit) -> str:
    """Name, type (read from the bytes) and size."""
    found = body(await visit.get(f"/api/v1/{visit.media}"))
    shown = [text_of(found, name) for name in ("display_name", "content_type", "size_bytes")]
    check(shown == [FILE_NAME, "image/png", str(len(FILE))], f"it is said to be {shown}")
    return ", ".join(shown)


@case("media", "download", needs=(upload,))
async def download(visit: Visit) -> str:
    """The very bytes."""
    answer = answered(await visit.get(f"/api/v1/{visit.media}:download"))
    check(answer.content == FILE, f"{len(answer.content):,} bytes, and not those that went up")
    return f"{len(answer.content):,} bytes, {answer.headers.get('content-type', 'no type')}"


@case("media", "download a range", needs=(upload,))
async def download_range(visit: Visit) -> str:
    """206, with Content-Range, and only what was asked for."""
    headers = {"range": f"bytes={FIRST}-{LAST}"}
    answer = answered(await visit.get(f"/api/v1/{visit.media}:download", headers=headers), 206)
    check(answer.content == FILE[FIRST : LAST + 1], "the bytes are not those of the range")
    found = str(answer.headers.get("content-range", ""))
    check(found == f"bytes {FIRST}-{LAST}/{len(FILE)}", f"Content-Range is {found!r}")
    return found


@case("media", "delete", needs=(upload,))
async def delete(visit: Visit) -> str:
    """It is gone afterwards."""
    body(await visit.call("DELETE", f"/api/v1/{visit.media}"))
    gone, visit.media = visit.media, ""
    return refused(await visit.get(f"/api/v1/{gone}"), 404, "MEDIA_NOT_FOUND")
