"""The candidates of descriptions: ours, in the order in which they are to be tried, and the browser's, which we don't need."""

from __future__ import annotations

from collections.abc import Sequence

from services.media import sdp
from services.media.ice import StreamAddress, new_credentials

ADDRESSES = ("203.0.113.5", "2001:db8::5")
LOCAL = sdp.Local(new_credentials(), "AA:BB", [(address, 10_100) for address in ADDRESSES])
HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA:BB\r\na=sendonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
)
HIDDEN = (
    "a=candidate:1 1 udp 2113937151 5f2c8c1e-6f0e-4f1e-8b1a-1f2e3d4c5b6a.local 53211 typ host generation 0\r\n"
    "a=candidate:2 1 tcp 1518280447 5f2c8c1e-6f0e-4f1e-8b1a-1f2e3d4c5b6a.local 9 typ host tcptype active\r\n"
    "a=candidate:nonsense\r\n"
    "a=ice-options:trickle renomination\r\n"
)


def candidates() -> list[list[str]]:
    outgoing = [sdp.Outgoing("0", sdp.OPUS, 7, 0, ("ann", "voice"))]
    lines = sdp.offer(outgoing, LOCAL, 1).splitlines()
    return [line.split() for line in lines if line.startswith("a=candidate:")]


def test_every_address_is_offered_over_udp_and_passively_over_tcp() -> None:
    found = [(c[2], c[4], c[5], " ".join(c[6:])) for c in candidates()]
    udp = [("udp", address, "10100", "typ host") for address in ADDRESSES]
    tcp = [("tcp", address, "10100", "typ host tcptype passive") for address in ADDRESSES]
    assert found == udp + tcp


def test_udp_goes_before_tcp_and_addresses_in_the_operators_order() -> None:
    priorities = [int(c[3]) for c in candidates()]
    assert priorities == sorted(priorities, reverse=True)
    assert len({c[0] for c in candidates()}) == len(priorities), "foundations tell them apart"
    assert all(0 < priority < 2**31 for priority in priorities)


def test_a_browser_that_hides_its_addresses_is_understood() -> None:
    plain, hidden = sdp.parse(HEAD + AUDIO), sdp.parse(HEAD + AUDIO + HIDDEN)
    assert hidden == plain
    assert hidden.remote == ("abcd", "0123456789012345678901", ("sha-256", "AA:BB"))


class Stream(StreamAddress):
    """A connection that leads nowhere."""

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Nobody is there."""

    def close(self, why: str = "") -> None:
        """It was never open."""


def test_a_tcp_connection_is_nobodys_udp_address() -> None:
    udp = ("192.0.2.1", 5000)
    first, second = Stream(udp), Stream(udp)
    assert first != second
    assert first != udp
    assert {udp: "datagrams", first: "a stream"} == {first: "a stream", udp: "datagrams"}
