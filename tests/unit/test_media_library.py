from __future__ import annotations

import pytest

from services.media.library.domain import FileTypeRefused, content_type, disposition


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40), "image/jpeg"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(40), "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "audio/wave"),
        (b"\xff\xfb\x90\x64" + bytes(40), "audio/mpeg"),
        (b"MZ are the initials of somebody", "text/plain"),
        (b"%PDF-1.4\n", "application/pdf"),
        (b"PK\x03\x04" + bytes(30), "application/zip"),
        ("Grüße".encode(), "text/plain"),
        (b"", "text/plain"),
        (bytes(30), "application/octet-stream"),
        (b"\xff\xfe\x00\x01 what is this", "application/octet-stream"),
        (b"<html><script>alert(1)</script>", "application/octet-stream"),
        (b"<!DOCTYPE html><html>", "application/octet-stream"),
        (
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">',
            "application/octet-stream",
        ),
        (b"  <script>", "application/octet-stream"),
    ],
)
def test_a_type_is_read_from_the_bytes(head: bytes, kind: str) -> None:
    assert content_type(head) == kind


@pytest.mark.parametrize("head", [b"MZ\x90\0", b"\x7fELF\x02", b"\xca\xfe\xba\xbe"])
def test_programs_are_refused(head: bytes) -> None:
    with pytest.raises(FileTypeRefused):
        content_type(head + bytes(60))


@pytest.mark.parametrize(
    "name", ['a"b.txt', "a\\b", "Grüße.pdf", "会议.txt", "a\r\nX: y", "50%.txt"]
)
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert header.startswith("attachment; ")
