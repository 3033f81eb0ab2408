"""Session descriptions (RFC 8866, RFC 8829), as far as an SFU needs them, strict and bounded.

`parse` reads a client's offer or answer; `Answer`-ing a publisher and offering to a subscriber are written here too.
We speak Opus, VP8 and H.264; of what a publisher offers, the first that we speak is taken, so the client's preference
decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.media.domain import SdpInvalid
from services.media.ice import Credentials

MAX_BYTES = 262_144
MAX_SECTIONS = 1_024
MAX_LINES = 65_536
NUMBER = re.compile(r"[0-9]{1,5}")
LINE = re.compile(r"([a-z])=(.*)")
TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
CREDENTIAL = re.compile(r"[A-Za-z0-9+/_\-]{4,256}")

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ORIENTATION = "urn:3gpp:video-orientation"
TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
FORWARDED_EXTENSIONS = {AUDIO_LEVEL: 1, ORIENTATION: 4}
"""What travels on to subscribers, and by which id."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as we forward it: its payload type towards subscribers is the same everywhere."""

    kind: str
    name: str
    clock_rate: int
    channels: int
    payload_type: int
    parameters: str = ""

    @property
    def rtpmap(self) -> str:
        """The value of `a=rtpmap` after the payload type."""
        suffix = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.clock_rate}{suffix}"


OPUS = Codec("audio", "opus", 48_000, 2, 111, "minptime=10;useinbandfec=1")
VP8 = Codec("video", "VP8", 90_000, 1, 96)
H264 = Codec(
    "video",
    "H264",
    90_000,
    1,
    102,
    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
)
CODECS = (OPUS, VP8, H264)
VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
AUDIO_FEEDBACK = ("transport-cc",)


@dataclass(slots=True)
class Section:
    """A media section of a client's description."""

    kind: str
    port: int
    payload_types: list[int]
    mid: str = ""
    direction: str = "sendrecv"
    codecs: dict[int, tuple[str, int]] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    extensions: dict[str, int] = field(default_factory=dict)
    ssrcs: list[int] = field(default_factory=list)
    ufrag: str = ""
    password: str = ""
    fingerprint: tuple[str, str] = ("", "")
    bundle_only: bool = False

    @property
    def is_active(self) -> bool:
        """Tell whether the section was neither rejected nor switched off."""
        return (self.port != 0 or self.bundle_only) and self.direction != "inactive"

    def chosen(self) -> tuple[int, Codec] | None:
        """Find the first codec that we speak, with the client's payload type for it."""
        for payload_type in self.payload_types:
            name, clock_rate = self.codecs.get(payload_type, ("", 0))
            for codec in CODECS:
                same = codec.name.lower() == name.lower() and codec.clock_rate == clock_rate
                if (
                    same
                    and codec.kind == self.kind
                    and _fits(codec, self.parameters.get(payload_type, ""))
                ):
                    return payload_type, codec
        return None


@dataclass(frozen=True, slots=True)
class Description:
    """A client's offer or answer."""

    sections: Sequence[Section]

    @property
    def remote(self) -> tuple[str, str, tuple[str, str]]:
        """The client's ufrag, password and fingerprint (BUNDLE has one of each). Raises SdpInvalid."""
        for section in self.sections:
            if section.ufrag and section.password and section.fingerprint[1]:
                return section.ufrag, section.password, section.fingerprint
        raise SdpInvalid(text="The session description has no ICE credentials or no fingerprint.")


def parse(text: str) -> Description:
    """Read a description. Raises SdpInvalid."""
    if len(text) > MAX_BYTES:
        raise SdpInvalid(text="The session description is too long.")
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MAX_LINES or lines[0] != "v=0":
        raise SdpInvalid(text="This is not a session description.")
    session = Section("session", 0, [])
    sections: list[Section] = []
    for line in lines:
        if (match := LINE.fullmatch(line)) is None:
            raise SdpInvalid(text="A line of the session description is malformed.")
        letter, value = match.groups()
        if letter == "m":
            sections.append(_media(value))
        elif letter == "a":
            _read_attribute(sections[-1] if sections else session, value)
        if len(sections) > MAX_SECTIONS:
            raise SdpInvalid(text="The session description has too many sections.")
    return Description([_with_defaults(section, session) for section in sections])


def _media(value: str) -> Section:
    parts = value.split()
    if len(parts) < 4 or NUMBER.fullmatch(parts[1]) is None:
        raise SdpInvalid(text="An m= line is malformed.")
    formats = [int(part) for part in parts[3:] if NUMBER.fullmatch(part) and int(part) < 128]
    return Section(parts[0], int(parts[1]), formats)


def _read_attribute(section: Section, value: str) -> None:
    name, _, rest = value.partition(":")
    try:
        if (read := _ATTRIBUTES.get(name)) is not None:
            read(section, rest)
        elif name in ("sendrecv", "sendonly", "recvonly", "inactive"):
            section.direction = name
        elif name == "bundle-only":
            section.bundle_only = True
    except (ValueError, IndexError):
        raise SdpInvalid(text=f"The attribute {name[:32]} is malformed.") from None


def _read_mid(section: Section, value: str) -> None:
    section.mid = _matching(TOKEN, value)


def _read_rtpmap(section: Section, value: str) -> None:
    payload_type, encoding = value.split(" ", 1)
    parts = encoding.split("/")
    section.codecs[int(payload_type)] = (parts[0], int(parts[1]))


def _read_fmtp(section: Section, value: str) -> None:
    payload_type, parameters = value.split(" ", 1)
    section.parameters[int(payload_type)] = parameters


def _read_extmap(section: Section, value: str) -> None:
    identifier, uri = value.split(" ")[:2]
    number = int(identifier.split("/")[0])
    if 1 <= number <= 14:
        section.extensions[uri] = number


def _read_ssrc(section: Section, value: str) -> None:
    number = int(value.split(" ", maxsplit=1)[0])
    if not 0 < number < 2**32 or len(section.ssrcs) > 32:
        raise ValueError(value)
    if number not in section.ssrcs:
        section.ssrcs.append(number)


def _read_ufrag(section: Section, value: str) -> None:
    section.ufrag = _matching(CREDENTIAL, value)


def _read_password(section: Section, value: str) -> None:
    section.password = _matching(CREDENTIAL, value)


def _read_fingerprint(section: Section, value: str) -> None:
    algorithm, digest = value.split(" ")
    section.fingerprint = (algorithm.lower(), digest.upper())


_ATTRIBUTES = {
    "mid": _read_mid,
    "rtpmap": _read_rtpmap,
    "fmtp": _read_fmtp,
    "extmap": _read_extmap,
    "ssrc": _read_ssrc,
    "ice-ufrag": _read_ufrag,
    "ice-pwd": _read_password,
    "fingerprint": _read_fingerprint,
}


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if pattern.fullmatch(value) is None:
        raise ValueError(value)
    return value


def _with_defaults(section: Section, session: Section) -> Section:
    section.ufrag = section.ufrag or session.ufrag
    section.password = section.password or session.password
    if not section.fingerprint[1]:
        section.fingerprint = session.fingerprint
    return section


def _fits(codec: Codec, parameters: str) -> bool:
    """H.264 comes in many kinds; ours is constrained baseline in packetization mode 1 (RFC 6184 §8.1)."""
    if codec is not H264:
        return True
    text = parameters.lower()
    return "packetization-mode=1" in text and "profile-level-id=42e0" in text


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of a transport, as descriptions have it."""

    credentials: Credentials
    fingerprint: str
    candidates: Sequence[tuple[str, int]]


def answer(offer: Description, accepted: Mapping[str, tuple[int, Codec]], local: Local) -> str:
    """Answer a publisher's offer: `accepted` are the sections to receive, by mid; all others are rejected."""
    lines = _session([section.mid for section in offer.sections if section.mid in accepted])
    for section in offer.sections:
        if section.mid not in accepted:
            lines += [f"m={section.kind} 0 UDP/TLS/RTP/SAVPF 0", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{section.mid}", "a=inactive"]
            continue
        payload_type, codec = accepted[section.mid]
        lines += _transport(section.kind, payload_type, section.mid, "passive", local)
        lines += ["a=recvonly", *_codec(payload_type, codec, section.parameters.get(payload_type))]
        for uri, identifier in section.extensions.items():
            if uri in FORWARDED_EXTENSIONS or uri == TRANSPORT_SEQUENCE:
                lines.append(f"a=extmap:{identifier} {uri}")
    return _text(lines)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A section of a subscriber's offer; `msid` is (stream, track), empty when nothing is sent any more."""

    mid: str
    codec: Codec
    ssrc: int
    msid: tuple[str, str] | None


def offer(sections: Sequence[Outgoing], local: Local, version: int) -> str:
    """Offer a subscriber what is to be received."""
    lines = _session([section.mid for section in sections], version)
    for section in sections:
        codec = section.codec
        lines += _transport(codec.kind, codec.payload_type, section.mid, "actpass", local)
        lines += _codec(codec.payload_type, codec, codec.parameters or None)
        for uri, identifier in FORWARDED_EXTENSIONS.items():
            lines.append(f"a=extmap:{identifier} {uri}")
        if section.msid is None:
            lines.append("a=inactive")
            continue
        lines += ["a=sendonly", f"a=msid:{section.msid[0]} {section.msid[1]}"]
        lines.append(f"a=ssrc:{section.ssrc} cname:{section.msid[0]}")
    return _text(lines)


def _session(mids: Sequence[str], version: int = 1) -> list[str]:
    return [
        "v=0",
        f"o=parley 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}".rstrip(),
        "a=ice-lite",
        "a=msid-semantic: WMS *",
    ]


def _transport(kind: str, payload_type: int, mid: str, setup: str, local: Local) -> list[str]:
    port = local.candidates[0][1]
    lines = [
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {payload_type}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
    ]
    for index, (address, candidate_port) in enumerate(local.candidates):
        priority = (126 << 24) + ((65_535 - index) << 8) + 255  # RFC 8445 §5.1.2.1, host
        lines.append(
            f"a=candidate:{index + 1} 1 udp {priority} {address} {candidate_port} typ host"
        )
    return [*lines, "a=end-of-candidates"]


def _codec(payload_type: int, codec: Codec, parameters: str | None) -> list[str]:
    feedback = AUDIO_FEEDBACK if codec.kind == "audio" else VIDEO_FEEDBACK
    lines = [f"a=rtpmap:{payload_type} {codec.rtpmap}"]
    lines += [f"a=rtcp-fb:{payload_type} {kind}" for kind in feedback]
    if parameters:
        lines.append(f"a=fmtp:{payload_type} {parameters}")
    return lines


def _text(lines: Sequence[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


__all__ = [
    "AUDIO_LEVEL",
    "FORWARDED_EXTENSIONS",
    "TRANSPORT_SEQUENCE",
    "Codec",
    "Description",
    "Local",
    "Outgoing",
    "Section",
    "answer",
    "offer",
    "parse",
]
