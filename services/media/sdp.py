"""Session descriptions (RFC 8866, RFC 8829), as far as an SFU needs them, strict and bounded.

`parse` reads a client's offer or answer; `Answer`-ing a publisher and offering to a subscriber are written here too.
We speak Opus (also with redundancy, RFC 2198) and VP8, VP9, H.264 and AV1, with retransmission (RFC 4588) and, of VP8 and
H.264, simulcast (RFC 8853). Of what a publisher offers the first that we speak is taken: the client's preference decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.media.domain import SdpInvalid
from services.media.ice import Credentials
from services.media.rtp import TRANSPORT_SEQUENCE_ID

MAX_BYTES = 262_144
MAX_SECTIONS = 1_024
MAX_LINES = 65_536
NUMBER = re.compile(r"[0-9]{1,5}")
LINE = re.compile(r"([a-z])=(.*)")
TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
RID_NAME = re.compile(r"[A-Za-z0-9_\-]{1,32}")
CREDENTIAL = re.compile(r"[A-Za-z0-9+/_\-]{4,256}")

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ORIENTATION = "urn:3gpp:video-orientation"
TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
FORWARDED_EXTENSIONS = {AUDIO_LEVEL: 1, ORIENTATION: 4}
"""What travels on to subscribers, and by which id."""
OFFERED_EXTENSIONS = {
    "audio": {AUDIO_LEVEL: 1, TRANSPORT_SEQUENCE: TRANSPORT_SEQUENCE_ID},
    "video": {ORIENTATION: 4, TRANSPORT_SEQUENCE: TRANSPORT_SEQUENCE_ID},
}
"""What subscribers are offered, by kind."""
RECEIVED_EXTENSIONS = frozenset({*FORWARDED_EXTENSIONS, TRANSPORT_SEQUENCE, MID, RID, REPAIRED_RID})
"""What publishers may send."""
MAX_RIDS = 3
SCTP_PORT = 5000
MAX_MESSAGE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as we forward it: its payload type towards subscribers is the same everywhere."""

    kind: str
    name: str
    clock_rate: int
    channels: int
    payload_type: int
    parameters: str = ""
    rtx_payload_type: int = 0

    @property
    def rtpmap(self) -> str:
        """The value of `a=rtpmap` after the payload type."""
        suffix = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.clock_rate}{suffix}"


OPUS = Codec("audio", "opus", 48_000, 2, 111, "minptime=10;useinbandfec=1;usedtx=1")
VP8 = Codec("video", "VP8", 90_000, 1, 96, rtx_payload_type=97)
VP9 = Codec("video", "VP9", 90_000, 1, 98, "profile-id=0", rtx_payload_type=99)
H264 = Codec(
    "video",
    "H264",
    90_000,
    1,
    102,
    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    rtx_payload_type=103,
)
AV1 = Codec("video", "AV1", 90_000, 1, 45, rtx_payload_type=46)
CODECS = (OPUS, VP8, VP9, H264, AV1)
RED_PAYLOAD_TYPE = 63
SIMULCAST_CODECS = (VP8, H264)
FEEDBACK = {
    "audio": ("transport-cc",),
    "video": ("nack", "nack pli", "ccm fir", "transport-cc"),
}


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
    repairs: dict[int, int] = field(default_factory=dict)
    rids: list[str] = field(default_factory=list)
    ufrag: str = ""
    password: str = ""
    fingerprint: tuple[str, str] = ("", "")
    bundle_only: bool = False
    sctp_port: int = SCTP_PORT

    @property
    def is_active(self) -> bool:
        """Tell whether the section was neither rejected nor switched off."""
        return (self.port != 0 or self.bundle_only) and self.direction != "inactive"

    @property
    def is_data(self) -> bool:
        """Tell whether it carries data channels (RFC 8841)."""
        return self.kind == "application"

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

    def retransmission(self, payload_type: int) -> int:
        """Find the RTX payload type for another (RFC 4588 §8.1), 0 where there is none."""
        wanted = f"apt={payload_type}"
        for each in self.payload_types:
            name, _ = self.codecs.get(each, ("", 0))
            if name.lower() == "rtx" and wanted in self.parameters.get(each, "").split(";"):
                return each
        return 0

    def redundancy(self) -> int:
        """Find the payload type of redundant audio at Opus's clock rate (RFC 2198), 0 where there is none."""
        found = (each for each in self.payload_types if self.codecs.get(each) == ("red", 48_000))
        return next(found, 0)


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
    name = parts[0].lower() if parts[0].lower() in ("red", "rtx") else parts[0]
    section.codecs[int(payload_type)] = (name, int(parts[1]))


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


def _read_ssrc_group(section: Section, value: str) -> None:
    semantics, *numbers = value.split(" ")
    if semantics == "FID" and len(numbers) == 2 and len(section.repairs) < 32:
        section.repairs[int(numbers[1])] = int(numbers[0])


def _read_sctp_port(section: Section, value: str) -> None:
    section.sctp_port = int(_matching(NUMBER, value))


def _read_simulcast(section: Section, value: str) -> None:
    """Take the streams that are sent, each by its first alternative; a paused one (`~`) counts (RFC 8853 §5.1)."""
    parts = value.split(" ")
    for direction, streams in zip(parts[::2], parts[1::2], strict=False):
        if direction == "send":
            rids = [each.split(",")[0].lstrip("~") for each in streams.split(";")]
            section.rids = [_matching(RID_NAME, rid) for rid in rids[:MAX_RIDS]]


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
    "sctp-port": _read_sctp_port,
    "ssrc-group": _read_ssrc_group,
    "simulcast": _read_simulcast,
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
    """Our side of a transport, as descriptions have it. `candidates` are addresses and ports, the preferred ones first."""

    credentials: Credentials
    fingerprint: str
    candidates: Sequence[tuple[str, int]]


def answer(
    offer: Description,
    accepted: Mapping[str, tuple[int, Codec]],
    local: Local,
    data: Sequence[str] = (),
) -> str:
    """Answer a publisher's offer: `accepted` are the sections to receive and `data` those of data channels, by mid.

    All others are rejected.
    """
    taken = [s.mid for s in offer.sections if s.mid in accepted or s.mid in data]
    lines = _session(taken)
    for section in offer.sections:
        if section.mid not in taken:
            form = "UDP/DTLS/SCTP webrtc-datachannel" if section.is_data else "UDP/TLS/RTP/SAVPF 0"
            lines += [f"m={section.kind} 0 {form}", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{section.mid}", "a=inactive"]
            continue
        if section.is_data:
            lines += _data(section.mid, local)
            continue
        payload_type, codec = accepted[section.mid]
        lines += _transport(
            section.kind, _received(section, payload_type), section.mid, "passive", local
        )
        lines += ["a=recvonly", *_codec(payload_type, codec, section.parameters.get(payload_type))]
        lines += _companions(
            payload_type, section.retransmission(payload_type), section.redundancy()
        )
        lines += _extensions(
            {
                uri: number
                for uri, number in section.extensions.items()
                if uri in RECEIVED_EXTENSIONS
            }
        )
        if section.rids and codec in SIMULCAST_CODECS:
            lines += [f"a=rid:{rid} recv" for rid in section.rids]
            lines.append(f"a=simulcast:recv {';'.join(section.rids)}")
    return _text(lines)


def _received(section: Section, payload_type: int) -> list[int]:
    """List the payload types that we take, the one to be sent first: redundant audio where it is offered."""
    companions = section.redundancy() if section.kind == "audio" else 0, payload_type
    return [each for each in (*companions, section.retransmission(payload_type)) if each]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A section of a subscriber's offer; `msid` is (stream, track), empty when nothing is sent any more."""

    mid: str
    codec: Codec
    ssrc: int
    rtx_ssrc: int
    msid: tuple[str, str] | None


def offer(sections: Sequence[Outgoing], local: Local, version: int) -> str:
    """Offer a subscriber what is to be received."""
    lines = _session([section.mid for section in sections], version)
    for section in sections:
        codec = section.codec
        red = RED_PAYLOAD_TYPE if codec is OPUS else 0
        offered = [each for each in (codec.payload_type, codec.rtx_payload_type, red) if each]
        lines += _transport(codec.kind, offered, section.mid, "actpass", local)
        lines += _codec(codec.payload_type, codec, codec.parameters or None)
        lines += _companions(codec.payload_type, codec.rtx_payload_type, red)
        lines += _extensions(OFFERED_EXTENSIONS[codec.kind])
        if section.msid is None:
            lines.append("a=inactive")
            continue
        lines += ["a=sendonly", f"a=msid:{section.msid[0]} {section.msid[1]}"]
        ssrcs = [section.ssrc, section.rtx_ssrc] if codec.rtx_payload_type else [section.ssrc]
        if len(ssrcs) > 1:
            lines.append(f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}")
        lines += [f"a=ssrc:{ssrc} cname:{section.msid[0]}" for ssrc in ssrcs]
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


def _data(mid: str, local: Local) -> list[str]:
    """Answer a section of data channels (RFC 8841 §5)."""
    lines = _transport("application", (), mid, "passive", local)
    port = local.candidates[0][1]
    lines[0] = f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel"
    return [*lines, f"a=sctp-port:{SCTP_PORT}", f"a=max-message-size:{MAX_MESSAGE_BYTES}"]


def _transport(
    kind: str, payload_types: Sequence[int], mid: str, setup: str, local: Local
) -> list[str]:
    port = local.candidates[0][1]
    lines = [
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {' '.join(map(str, payload_types))}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
    ]
    return [*lines, *_candidates(local), "a=end-of-candidates"]


def _candidates(local: Local) -> list[str]:
    """Offer each address over UDP, and for where that is blocked, over TCP."""
    udp, tcp = [], []
    for index, (address, port) in enumerate(local.candidates):
        place = f"{address} {port} typ host"
        priority = (126 << 24) + ((65_535 - index) << 8) + 255  # RFC 8445 §5.1.2.1, host
        udp.append(f"a=candidate:{index + 1} 1 udp {priority} {place}")
        preference = (4 << 13) + 8_191 - index  # RFC 6544 §4.2: passive
        priority = (90 << 24) + (preference << 8) + 255
        foundation = len(local.candidates) + index + 1
        tcp.append(f"a=candidate:{foundation} 1 tcp {priority} {place} tcptype passive")
    return udp + tcp


def _codec(payload_type: int, codec: Codec, parameters: str | None) -> list[str]:
    lines = [f"a=rtpmap:{payload_type} {codec.rtpmap}"]
    lines += [f"a=rtcp-fb:{payload_type} {kind}" for kind in FEEDBACK[codec.kind]]
    if codec is OPUS:
        parameters = OPUS.parameters  # what we want to get: discontinuous, with error correction
    if parameters:
        lines.append(f"a=fmtp:{payload_type} {parameters}")
    return lines


def _companions(payload_type: int, rtx: int, red: int) -> list[str]:
    lines = []
    if rtx:
        lines += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={payload_type}"]
    if red:
        lines += [f"a=rtpmap:{red} red/48000/2", f"a=fmtp:{red} {payload_type}/{payload_type}"]
    return lines


def _extensions(extensions: Mapping[str, int]) -> list[str]:
    return [f"a=extmap:{identifier} {uri}" for uri, identifier in extensions.items()]


def _text(lines: Sequence[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


__all__ = [
    "AUDIO_LEVEL",
    "FORWARDED_EXTENSIONS",
    "MAX_MESSAGE_BYTES",
    "MID",
    "OPUS",
    "RED_PAYLOAD_TYPE",
    "REPAIRED_RID",
    "RID",
    "SCTP_PORT",
    "SIMULCAST_CODECS",
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
