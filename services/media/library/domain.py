"""The media library's rules: what a file is, how it is called, what is refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

import puremagic

from chassis.errors import Aborted, InvalidArgument, NotFound, ResourceExhausted

SNIFFED_BYTES = 4096
"""How much of a file its type is read from."""

PLAIN = "text/plain"
UNKNOWN = "application/octet-stream"

RUN_BY_BROWSERS = ("html", "xml", "svg", "javascript", "ecmascript", "shockwave")
"""Parts of types that a browser could run as ours; such files are kept, but as bytes without meaning."""

PROGRAMS = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs begin: PE, ELF, Mach-O and Java classes."""

MPEG_AUDIO = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
"""How MP3 begins that has no ID3 tag: the frame sync, layer III (ISO 11172-3 §2.4.1.3)."""

ARCHIVE = b"PK\x03\x04"
"""How archives begin, and all the documents that are archives: which, their first bytes don't tell."""

SURE = 0.3
"""The least confidence with which a type is believed, 0 to 1."""


class MediaNotFound(NotFound):
    """There is no such file, or it is not yours."""

    reason = "MEDIA_NOT_FOUND"
    message = "There is no such file."


class FileEmpty(InvalidArgument):
    """The upload has no bytes."""

    reason = "FILE_EMPTY"
    message = "The file is empty."


class FileNameMissing(InvalidArgument):
    """The upload's first message, or `?name=` over REST, must name the file."""

    reason = "FILE_NAME_MISSING"
    message = "The file needs a name."


class FileTypeRefused(InvalidArgument):
    """The file is a program. Put it into an archive if people shall have it."""

    reason = "FILE_TYPE_REFUSED"
    message = "Programs are not taken."


class FileTooLarge(ResourceExhausted):
    """The file is larger than one file may be."""

    reason = "FILE_TOO_LARGE"
    message = "The file is too large."


class QuotaExceeded(ResourceExhausted):
    """The caller's files together are as large as they may be. Delete some."""

    reason = "QUOTA_EXCEEDED"
    message = "Your files take up all the room that you have: delete some."


class TooManyUploads(ResourceExhausted):
    """The caller has as many uploads under way as one may. Wait until one is through."""

    reason = "TOO_MANY_UPLOADS"
    message = "Too many uploads at once: wait until one is through."


class UploadUnderWay(Aborted):
    """The upload with this request id is still coming. Wait, then repeat it; one that broke off is given up in minutes."""

    reason = "UPLOAD_UNDER_WAY"
    message = "This upload is still under way."


@dataclass(frozen=True, slots=True)
class Media:
    """A file that is there. `sha256` is in hexadecimal."""

    id: UUID
    owner_id: UUID
    display_name: str
    content_type: str
    size_bytes: int
    sha256: str
    create_time: datetime

    @property
    def name(self) -> str:
        """The resource name."""
        return f"media/{self.id}"


def content_type(head: bytes) -> str:
    """Read a file's type from its first SNIFFED_BYTES, whatever its sender called it. Raises FileTypeRefused."""
    if head.startswith(PROGRAMS) and not (head.startswith(b"MZ") and _is_text(head)):
        raise FileTypeRefused
    if head.startswith(MPEG_AUDIO):
        return "audio/mpeg"
    if head.startswith(ARCHIVE):
        return "application/zip"
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        found = []
    kinds = [match.mime_type for match in found if match.mime_type and match.confidence >= SURE]
    if kinds:
        return UNKNOWN if any(part in kinds[0] for part in RUN_BY_BROWSERS) else kinds[0]
    return PLAIN if _is_text(head) else UNKNOWN


def disposition(display_name: str) -> str:
    """Write the Content-Disposition under which a file is saved (RFC 6266, RFC 8187)."""
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in display_name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(display_name, safe='')}"


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == SNIFFED_BYTES and error.start > SNIFFED_BYTES - 4
    return "<" not in head[:64].decode(errors="replace")


__all__ = [
    "SNIFFED_BYTES",
    "FileEmpty",
    "FileNameMissing",
    "FileTooLarge",
    "FileTypeRefused",
    "Media",
    "MediaNotFound",
    "QuotaExceeded",
    "TooManyUploads",
    "UploadUnderWay",
    "content_type",
    "disposition",
]
