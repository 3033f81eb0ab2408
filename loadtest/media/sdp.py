"""Session descriptions of light clients (RFC 8866, RFC 8829): offers of what they send, answers to what they are offered.

An answer takes any number of sections and echoes what of each is understood: payload types, their feedback, extensions.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from loadtest.media.codecs import OPUS, RED, VIDEO, VP8, Codec

TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
OFFERED = {AUDIO_LEVEL: 1, TRANSPORT_SEQUENCE: 3, MID: 4, RID: 10, REPAIRED_RID: 11}
UNDERSTOOD = frozenset(OFFERED)
FEEDBACK = {"audio": ("transport-cc",), "video": ("nack", "nack pli", "ccm fir", "transport-cc")}


class SdpInvalid(ValueError):
    """The server's description lacks what a client needs."""


@dataclass(frozen=True, slots=True)
class Local:
    """A client's side of a transport. `address` is its host candidate."""

    fingerprint: str
    address: tuple[str, int]
    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(12))


@dataclass(frozen=True, slots=True)
class Remote:
    """The server's side of a transport. `is_active`: it is DTLS's client."""

    ufrag: str
    password: str
    fingerprint: tuple[str, str]
    address: tuple[str, int]
    is_lite: bool
    is_active: bool = False


@dataclass(slots=True)
class Section:
    """A media section: its attributes in order, as (name, value)."""

    kind: str
    port: int
    formats: list[int]
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """List an attribute's values."""
        return [value for key, value in self.attributes if key == name]

    def value(self, name: str) -> str:
        """Get an attribute's first value; empty where there is none."""
        return next(iter(self.values(name)), "")

    @property
    def mid(self) -> str:
        return self.value("mid")

    @property
    def is_active(self) -> bool:
        """Tell whether media may flow."""
        is_off = any(key == "inactive" for key, _ in self.attributes)
        return not is_off and (self.port != 0 or ("bundle-only", "") in self.attributes)

    @property
    def extensions(self) -> dict[str, int]:
        """Map header extensions that we understand to their ids."""
        pairs = (value.split(" ")[:2] for value in self.values("extmap"))
        return {uri: int(number.split("/")[0]) for number, uri in pairs if uri in UNDERSTOOD}

    @property
    def codecs(self) -> dict[int, str]:
        """Map payload types to encoding names, in lower case."""
        pairs = (value.split(" ", 1) for value in self.values("rtpmap"))
        return {int(number): name.split("/")[0].lower() for number, name in pairs}

    @property
    def codec(self) -> Codec | None:
        """Find the codec of pictures that comes first, of those that we speak."""
        named = (VIDEO.get(self.codecs.get(each, "")) for each in self.formats)
        return next((codec for codec in named if codec is not None), None)

    @property
    def repairs(self) -> dict[int, int]:
        """Map the payload types of retransmissions to those of the originals (RFC 4588 §8.6)."""
        found = {}
        for value in self.values("fmtp"):
            number, _, parameters = value.partition(" ")
            for parameter in parameters.split(";"):
                name, _, original = parameter.strip().partition("=")
                if name == "apt" and self.codecs.get(int(number)) == "rtx":
                    found[int(number)] = int(original)
        return found

    @property
    def sources(self) -> dict[int, int]:
        """Map each primary SSRC to that of its retransmissions, or 0 (RFC 5576 §4)."""
        groups = [value.split(" ") for value in self.values("ssrc-group")]
        repairs = {int(each[1]): int(each[2]) for each in groups if each[0] == "FID"}
        named = (int(value.split(" ")[0]) for value in self.values("ssrc"))
        return {ssrc: repairs.get(ssrc, 0) for ssrc in named if ssrc not in repairs.values()}


@dataclass(frozen=True, slots=True)
class Description:
    """A description that the server gave."""

    session: Section
    sections: list[Section]

    @property
    def remote(self) -> Remote:
        """Find the transport. Raises SdpInvalid."""
        for section in self.sections:
            address = _candidate(section)
            if section.port == 0 or address is None:
                continue
            ufrag, password, fingerprint = (
                section.value(name) or self.session.value(name)
                for name in ("ice-ufrag", "ice-pwd", "fingerprint")
            )
            algorithm, _, digest = fingerprint.partition(" ")
            is_lite = ("ice-lite", "") in self.session.attributes
            is_active = (section.value("setup") or self.session.value("setup")) == "active"
            pair = (algorithm.lower(), digest.upper())
            return Remote(ufrag, password, pair, address, is_lite, is_active)
        raise SdpInvalid("no section has a candidate")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A section that a client offers to send: an SSRC and its retransmissions' (0: none), or several layers by rid.

    `codec` is that of pictures; sound is Opus, and `is_redundant` if it has each packet twice.
    """

    mid: str
    kind: str
    ssrc: int
    repair_ssrc: int = 0
    rids: Sequence[str] = ()
    codec: Codec = VP8
    is_redundant: bool = False

    @property
    def payload_types(self) -> list[int]:
        """List what it may be sent by."""
        if self.kind == "audio":
            return [OPUS, RED] if self.is_redundant else [OPUS]
        return [self.codec.payload_type, self.codec.repair]


def parse(text: str) -> Description:
    """Read a description. Raises SdpInvalid."""
    sections = [Section("session", 0, [])]
    try:
        for line in text.splitlines():
            letter, _, value = line.partition("=")
            if letter == "m":
                kind, port, _, *formats = value.split(" ")
                numbers = [int(each) for each in formats if each.isdecimal()]
                sections.append(Section(kind, int(port), numbers))
            elif letter == "a":
                name, _, rest = value.partition(":")
                sections[-1].attributes.append((name, rest))
    except ValueError as error:
        raise SdpInvalid(str(error)) from None
    return Description(sections[0], sections[1:])


def offer(sections: Sequence[Outgoing], local: Local, name: str) -> str:
    """Offer to send; `name` is the CNAME and the stream's id."""
    lines = _session([section.mid for section in sections])
    for section in sections:
        lines += _transport(section.kind, section.payload_types, section.mid, "actpass", local)
        lines += ["a=sendonly", f"a=msid:{name} {name}-{section.mid}"]
        lines += _codecs(section)
        lines += [f"a=extmap:{OFFERED[uri]} {uri}" for uri in _extensions(section)]
        lines += _sources(section, name)
    return _text(lines)


def answer(offered: Description, local: Local, *, red: bool = False) -> str:
    """Answer: receive whatever we understand, redundant sound with `red` alone; reject the rest."""
    taken = [section for section in offered.sections if _accepted(section, red=red)]
    lines = _session([section.mid for section in taken])
    for section in offered.sections:
        payload_types = _accepted(section, red=red)
        if not payload_types:
            lines += [f"m={section.kind} 0 UDP/TLS/RTP/SAVPF 0", f"a=mid:{section.mid}"]
            continue
        lines += _transport(section.kind, payload_types, section.mid, "active", local)
        lines.append("a=recvonly" if section.is_active else "a=inactive")
        lines += _echoed(section, payload_types)
    return _text(lines)


def _accepted(section: Section, *, red: bool) -> list[int]:
    """List the payload types of a section that we take: media of ours, then what repairs it."""
    if section.kind == "audio":
        wanted = {"opus", "red"} if red else {"opus"}
    elif section.kind == "video" and section.codec is not None:
        wanted = {section.codec.name}
    else:
        return []
    media = [each for each in section.formats if section.codecs.get(each) in wanted]
    repairs = section.repairs
    return media + [each for each in section.formats if repairs.get(each) in media]


def _echoed(section: Section, payload_types: Sequence[int]) -> Iterator[str]:
    for name, value in section.attributes:
        if name in ("rtpmap", "fmtp", "rtcp-fb"):
            if int(value.split(" ")[0]) in payload_types:
                yield f"a={name}:{value}"
        elif name == "extmap" and value.split(" ")[1] in UNDERSTOOD:
            yield f"a=extmap:{value}"


def _session(mids: Sequence[str]) -> list[str]:
    return [
        "v=0",
        f"o=- {secrets.randbelow(2**62)} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}".rstrip(),
        "a=msid-semantic: WMS *",
    ]


def _transport(
    kind: str, payload_types: Sequence[int], mid: str, setup: str, local: Local
) -> list[str]:
    address, port = local.address
    family = "IP6" if ":" in address else "IP4"
    return [
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {' '.join(map(str, payload_types))}",
        f"c=IN {family} {address}",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
        f"a=candidate:1 1 udp 2130706431 {address} {port} typ host",
        "a=end-of-candidates",
    ]


def _codecs(section: Outgoing) -> list[str]:
    if section.kind == "audio":
        lines = [f"a=rtpmap:{OPUS} opus/48000/2", f"a=fmtp:{OPUS} minptime=10;useinbandfec=1"]
        if section.is_redundant:
            lines += [f"a=rtpmap:{RED} red/48000/2", f"a=fmtp:{RED} {OPUS}/{OPUS}"]
        return lines + [f"a=rtcp-fb:{OPUS} {each}" for each in FEEDBACK["audio"]]
    codec, number = section.codec, section.codec.payload_type
    lines = [f"a=rtpmap:{number} {codec.name.upper()}/90000"]
    lines += [f"a=fmtp:{number} {codec.parameters}"] if codec.parameters else []
    lines += [f"a=rtcp-fb:{number} {each}" for each in FEEDBACK["video"]]
    return [*lines, f"a=rtpmap:{codec.repair} rtx/90000", f"a=fmtp:{codec.repair} apt={number}"]


def _extensions(section: Outgoing) -> Sequence[str]:
    if section.kind == "audio":
        return (AUDIO_LEVEL, TRANSPORT_SEQUENCE, MID)
    simulcast = (RID, REPAIRED_RID) if section.rids else ()
    return (TRANSPORT_SEQUENCE, MID, *simulcast)


def _sources(section: Outgoing, name: str) -> list[str]:
    if section.rids:
        lines = [f"a=rid:{rid} send" for rid in section.rids]
        return [*lines, f"a=simulcast:send {';'.join(section.rids)}"]
    lines = [f"a=ssrc:{section.ssrc} cname:{name}"]
    if section.repair_ssrc:
        lines.insert(0, f"a=ssrc-group:FID {section.ssrc} {section.repair_ssrc}")
        lines.append(f"a=ssrc:{section.repair_ssrc} cname:{name}")
    return lines


def _candidate(section: Section) -> tuple[str, int] | None:
    """Find the first host candidate that UDP reaches."""
    for value in section.values("candidate"):
        parts = value.split(" ")
        if len(parts) >= 8 and parts[1] == "1" and parts[2].lower() == "udp" and parts[7] == "host":
            return parts[4], int(parts[5])
    return None


def _text(lines: Sequence[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


__all__ = [
    "AUDIO_LEVEL",
    "MID",
    "REPAIRED_RID",
    "RID",
    "TRANSPORT_SEQUENCE",
    "Description",
    "Local",
    "Outgoing",
    "Remote",
    "SdpInvalid",
    "Section",
    "answer",
    "offer",
    "parse",
]
