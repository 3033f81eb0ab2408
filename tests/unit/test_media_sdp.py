"""Session descriptions: Chrome's are understood, and whatever else comes is refused by name, never by accident."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import sdp
from services.media.domain import NotGranted, SdpInvalid, TooManyTracks
from services.media.dtls import Certificate
from services.media.ice import new_credentials
from services.media.publisher import Publisher, Wanted
from services.media.transport import Transport
from tests.srtp_sink import fanout_to

FINGERPRINT = ":".join(["AB"] * 32)
HEAD = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
"""
TRANSPORT = f"""c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Oyef
a=ice-pwd:p7yGzzE3wqAsOoZ/TgGNYJcP
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
"""
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\n"
    + TRANSPORT
    + """a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=sendonly
a=msid:- 2d1f
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=ssrc:1001 cname:x
"""
)
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 103 104 96 97\n"
    + TRANSPORT
    + """a=mid:1
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:13 urn:3gpp:video-orientation
a=sendonly
a=rtcp-mux
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:x
a=ssrc:2002 cname:x
"""
)
OFFER = HEAD + AUDIO + VIDEO
LOCAL = sdp.Local(new_credentials(), FINGERPRINT, [("127.0.0.1", 10_100), ("10.0.0.1", 10_100)])


def nowhere(_datagram: bytes, _address: tuple[str, int]) -> None:
    """There is no network here."""


def publisher(*granted: str) -> Publisher:
    fanout = fanout_to(nowhere)
    transport = Transport(Certificate(), nowhere, fanout)
    name = "meetings/a/participants/b"
    return Publisher(name, frozenset(granted), transport, fanout, lambda: LOCAL)


def test_chromes_offer_is_read() -> None:
    audio, video = sdp.parse(OFFER).sections
    assert (audio.mid, audio.kind, audio.direction, audio.ssrcs) == (
        "0",
        "audio",
        "sendonly",
        [1001],
    )
    assert audio.chosen() == (111, sdp.OPUS)
    assert video.chosen() == (96, sdp.VP8), "H.264 in packetization mode 0 is not ours"
    assert video.extensions[sdp.TRANSPORT_SEQUENCE] == 3
    assert sdp.parse(OFFER).remote == (
        "Oyef",
        "p7yGzzE3wqAsOoZ/TgGNYJcP",
        ("sha-256", FINGERPRINT),
    )


def test_h264_is_taken_where_it_comes_first_and_fits() -> None:
    offer = OFFER.replace("packetization-mode=0", "packetization-mode=1").replace(
        "42001f", "42e01f"
    )
    assert sdp.parse(offer).sections[1].chosen() == (103, sdp.H264)


def test_the_answer_takes_one_codec_and_names_every_address() -> None:
    published = publisher("microphone", "camera").negotiate(OFFER, {})
    answer = sdp.parse(published.answer)
    assert [s.payload_types for s in answer.sections] == [[63, 111], [96, 97]]
    assert [s.direction for s in answer.sections] == ["recvonly", "recvonly"]
    assert "a=setup:passive\r\n" in published.answer
    assert "a=ice-lite\r\n" in published.answer
    assert "a=extmap:13 urn:3gpp:video-orientation\r\n" in published.answer
    for address in ("127.0.0.1", "10.0.0.1"):
        assert f" {address} 10100 typ host\r\n" in published.answer


SIMULCAST = VIDEO.replace("a=ssrc:2001 cname:x\na=ssrc:2002 cname:x\n", "").replace(
    "a=ssrc-group:FID 2001 2002\n",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n"
    "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\n"
    "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\n"
    "a=rid:q send\na=rid:h send\na=rid:f send\na=simulcast:send q;~h;f\n",
)


def test_simulcast_is_taken_by_rid() -> None:
    published = publisher("camera").negotiate(HEAD + SIMULCAST, {})
    (track,) = published.added
    assert track.section.rids == ["q", "h", "f"]
    assert "a=simulcast:recv q;h;f\r\n" in published.answer
    for rid in "qhf":
        assert f"a=rid:{rid} recv\r\n" in published.answer
    for number in (4, 10, 11):
        assert f"a=extmap:{number} urn:ietf:params:rtp-hdrext:sdes:" in published.answer


def test_vp9_and_av1_are_taken_where_they_come_first() -> None:
    for name, payload_type in (("VP9", 98), ("AV1", 45)):
        offer = OFFER.replace("VP8/90000", f"{name}/90000")
        chosen = sdp.parse(offer).sections[1].chosen()
        assert chosen is not None
        assert (chosen[0], chosen[1].name, chosen[1].payload_type) == (96, name, payload_type)


def test_a_subscribers_offer_says_whose_track_it_is() -> None:
    outgoing = [
        sdp.Outgoing("0", sdp.OPUS, 7, 0, ("ann", "voice")),
        sdp.Outgoing("1", sdp.VP8, 8, 0, None),
        sdp.Outgoing("2", sdp.VP8, 9, 10, ("ann", "face")),
    ]
    text = sdp.offer(outgoing, LOCAL, 3)
    first, second, third = sdp.parse(text).sections
    assert (third.ssrcs, third.repairs) == ([9, 10], {10: 9})
    assert (third.payload_types, third.retransmission(96)) == ([96, 97], 97)
    assert (first.direction, first.ssrcs) == ("sendonly", [7])
    assert "a=msid:ann voice\r\n" in text
    assert (second.direction, second.ssrcs) == ("inactive", [])


def test_a_track_that_is_no_longer_offered_is_gone() -> None:
    ann = publisher("microphone", "camera")
    ann.negotiate(OFFER, {})
    published = ann.negotiate(
        OFFER.replace("a=mid:1\n", "a=mid:1\na=inactive\n").replace(
            "a=sendonly\na=rtcp-mux\na=rtpmap:103", "a=rtcp-mux\na=rtpmap:103"
        ),
        {},
    )
    assert [track.mid for track in published.removed] == ["1"]
    assert [track.source for track in ann.tracks.values()] == ["microphone"]


def test_another_codec_in_a_section_is_another_track() -> None:
    ann = publisher("camera")
    (before,) = ann.negotiate(HEAD + VIDEO, {}).added
    published = ann.negotiate(HEAD + VIDEO.replace("VP8/90000", "VP9/90000"), {})
    assert published.removed == [before]
    assert [track.forwarder.codec.name for track in published.added] == ["VP9"]


def test_new_credentials_of_the_client_restart_ours() -> None:
    ann = publisher("microphone", "camera")
    ann.negotiate(OFFER, {})
    before = ann.transport.ice.local
    ann.negotiate(OFFER, {})
    assert ann.transport.ice.local == before
    ann.negotiate(OFFER.replace("Oyef", "0ther"), {})
    assert ann.transport.ice.local != before


def test_a_video_section_can_not_pass_as_a_microphone() -> None:
    with pytest.raises(SdpInvalid):
        publisher("microphone").negotiate(HEAD + VIDEO, {"1": Wanted("microphone", muted=False)})


def test_a_source_that_is_not_granted_changes_nothing() -> None:
    eve = publisher("microphone")
    with pytest.raises(NotGranted):
        eve.negotiate(OFFER, {})
    assert eve.tracks == {}


def test_nine_tracks_are_too_many() -> None:
    offer = HEAD + "".join(AUDIO.replace("a=mid:0", f"a=mid:{n}") for n in range(9))
    with pytest.raises(TooManyTracks):
        publisher("microphone").negotiate(offer, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=1\n",
        HEAD + "m=audio\n",
        HEAD + "m=audio nine UDP/TLS/RTP/SAVPF 111\n",
        HEAD + f"m=audio {'9' * 5_000} UDP/TLS/RTP/SAVPF 111\n",
        OFFER.replace("a=mid:1", "a=mid:0"),
        OFFER.replace("a=mid:1\n", ""),
        OFFER.replace("a=ice-pwd", "a=ice-pdw"),
        OFFER.replace("a=fingerprint", "a=fingerprinz"),
        OFFER.replace("Oyef", "O y"),
        OFFER.replace("opus/48000/2", "opus/" + "4" * 5_000),
        OFFER.replace("opus", "speex").replace("VP8", "VP7"),
        OFFER.replace("a=ssrc:1001", "a=ssrc:99999999999"),
        OFFER + "\x00",
        OFFER + "a=" + "x" * sdp.MAX_BYTES,
        HEAD + AUDIO * (sdp.MAX_SECTIONS // 4),
    ],
    ids=lambda text: repr(text[-24:]),
)
def test_what_can_not_be_used_is_refused(text: str) -> None:
    with pytest.raises(SdpInvalid):
        publisher("microphone", "camera").negotiate(text, {})


LINES = OFFER.splitlines()


@settings(max_examples=150, database=None, deadline=None)
@given(st.data())
def test_a_damaged_offer_is_answered_or_refused(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        head = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        lines[at] = head + data.draw(st.text(max_size=12))
    with contextlib.suppress(SdpInvalid, NotGranted, TooManyTracks):
        PUBLISHER.negotiate("\n".join(lines), {})


PUBLISHER = publisher("microphone", "camera")
