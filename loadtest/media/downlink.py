"""A light client's subscriber connection: takes whatever it is offered, checks it, and says what a browser would say.

Every packet's sequence number is followed. Of each track, every `verify`-th packet is also decrypted and its payload
checked, which is the greater part of the work; retransmissions always are.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from loadtest.media import payload, rtcp, rtp, sdp
from loadtest.media.codecs import RED, Codec
from loadtest.media.connection import Certificate, Connection, SrtpError
from loadtest.media.continuity import Arrival, Continuity
from loadtest.media.figures import Figures
from loadtest.media.health import Metronome

TICK_SECONDS = 0.05
REPORT_SECONDS = 1.0
FIRST_FRAME_SECONDS = 1.0
"""A track of which nothing has come for so long is asked for a keyframe again."""
SSRC = 1
HEAD_BYTES = 64
"""Of a payload, enough to see whether a keyframe begins there."""


@dataclass(slots=True)
class Track:
    """A track that is received; `repair_ssrc` is that of its retransmissions, or 0, and `codec` that of pictures.

    Of the packets that were checked `first` and `last` are the marks of the first and the last one, `payload_types` those
    that they came by; `begun` is what the first payload of all begins with.
    """

    kind: str
    ssrc: int
    repair_ssrc: int
    codec: Codec | None
    continuity: Continuity = field(default_factory=Continuity)
    countdown: int = 0
    source: int = -1
    offset: int = -1
    keyframe_asked_at: float = 0.0
    reported: tuple[int, int] = (0, 0)
    sender_report: tuple[int, float] = (0, 0.0)
    first: payload.Mark | None = None
    last: payload.Mark | None = None
    begun: bytes = b""
    payload_types: set[int] = field(default_factory=set)

    @property
    def publisher(self) -> int:
        """Whose it is, the publisher's number, by the marks; -1 while none has come."""
        return self.source >> 2


class Downlink:
    """Receives from when it has answered the first offer until `close`; `first_packet` is the time of the first one."""

    def __init__(
        self,
        certificate: Certificate,
        host: str,
        figures: Figures,
        verify: int = 1,
        *,
        red: bool = False,
    ) -> None:
        self.connection = Connection(certificate, host)
        self.connection.on_rtp = self._receive
        self.connection.on_rtcp = self._receive_rtcp
        self.first_packet: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._figures = figures
        self._verify_each = verify
        self._takes_red = red
        self._tracks: dict[int, Track] = {}
        self._repairs: dict[int, Track] = {}
        self._transport_id = 0
        self._transport_highest = -1
        self._arrivals: dict[int, float] = {}
        self._feedback_count = 0
        self._reported_at = 0.0
        self._beat = Metronome(TICK_SECONDS, self._tick, figures.lag)
        self._is_begun = False

    def answer(self, text: str, *, controlling: bool = False) -> str:
        """Answer an offer; tracks that it no longer has are over. Raises SdpInvalid."""
        offered = sdp.parse(text)
        self._take(offered.sections)
        answer = sdp.answer(offered, self.connection.local, red=self._takes_red)
        if any(section.port for section in offered.sections):
            self.connection.connect(offered.remote, controlling=controlling)
        if not self._is_begun:
            self._is_begun = True
            self._beat.start(random.random() * TICK_SECONDS)  # noqa: S311  # no two clients in step
        return answer

    @property
    def tracks(self) -> int:
        """How many tracks are offered."""
        return len(self._tracks)

    @property
    def offered(self) -> tuple[Track, ...]:
        """List them."""
        return tuple(self._tracks.values())

    def close(self) -> None:
        """Leave, and add what was received to the figures."""
        self._beat.stop()
        self.connection.close()
        for track in self._tracks.values():
            self._end(track)
        self._tracks.clear()

    def _take(self, sections: list[sdp.Section]) -> None:
        """Know the tracks of an offer by their SSRCs."""
        before, self._tracks, self._repairs = self._tracks, {}, {}
        for section in sections:
            if not section.is_active or section.kind not in sdp.FEEDBACK:
                continue
            self._transport_id = section.extensions.get(sdp.TRANSPORT_SEQUENCE, self._transport_id)
            for ssrc, repair_ssrc in section.sources.items():
                known = before.pop(ssrc, None)
                track = known or Track(section.kind, ssrc, repair_ssrc, section.codec)
                self._tracks[ssrc] = track
                if repair_ssrc:
                    self._repairs[repair_ssrc] = track
        for track in before.values():
            self._end(track)

    def _end(self, track: Track) -> None:
        continuity = track.continuity
        continuity.settle()
        self._figures.tracks += 1
        self._figures.silent += continuity.highest < 0
        self._figures.lost += continuity.lost

    def _receive(self, packet: bytes, arrival_ns: int) -> None:
        """Take an RTP packet as it came: what is not decrypted is believed, since nobody else sends here."""
        now = arrival_ns * 1e-9
        if self._transport_id:
            self._note_arrival(rtp.extension_word(packet, self._transport_id), now)
        ssrc = int.from_bytes(packet[8:12], "big")
        if (track := self._tracks.get(ssrc)) is None:
            self._receive_repair(ssrc, packet)
            return
        number = packet[2] << 8 | packet[3]
        figures = self._figures
        arrival = track.continuity.receive(number, now)
        if arrival is Arrival.DUPLICATE:
            figures.duplicates += 1
            return
        figures.received += 1
        figures.received_bytes += len(packet)
        if arrival is Arrival.RECOVERED:
            figures.recovered += 1
        elif arrival is Arrival.LATE:
            figures.late += 1
        track.countdown -= 1
        if track.countdown < 0:
            track.countdown = self._verify_each - 1
            self._verify(track, number, packet, arrival_ns, arrival)

    def _verify(
        self, track: Track, number: int, packet: bytes, arrival_ns: int, arrival: Arrival
    ) -> None:
        if (inbound := self.connection.inbound) is None:
            return
        try:
            body, payload_type = rtp.payload(inbound.unprotect(packet)), packet[1] & 0x7F
            mark = read(track, body, payload_type)
        except (SrtpError, payload.PayloadCorrupt, rtp.PacketInvalid):
            self._figures.corrupt += 1
            return
        self._figures.verified += 1
        track.begun = track.begun or body[:HEAD_BYTES]
        track.payload_types.add(payload_type)
        if not self.first_packet.done():
            self.first_packet.set_result(time.monotonic())
        if arrival is Arrival.NEXT:
            self._figures.latency.add((arrival_ns - mark.sent_ns) // 1000)
            self._follow(track, number, mark)

    def _follow(self, track: Track, number: int, mark: payload.Mark) -> None:
        """See that a track stays one publisher's, and notice what the server leaves out without a gap."""
        track.first, track.last = track.first or mark, mark
        offset = (mark.counter - number) & 0xFFFF
        if mark.source == track.source:
            self._figures.thinned += max(0, rtp.distance(offset, track.offset))
        elif track.source >= 0:
            self._figures.switches += 1
            if mark.source >> 2 != track.source >> 2:
                self._figures.corrupt += 1  # another's packet
        track.source, track.offset = mark.source, offset

    def _receive_repair(self, ssrc: int, packet: bytes) -> None:
        track, inbound = self._repairs.get(ssrc), self.connection.inbound
        if track is None or inbound is None:
            return
        figures = self._figures
        try:
            original = rtp.unwrapped(rtp.payload(inbound.unprotect(packet)))
            if original is None:
                figures.probes += 1
                return
            number, body = original
            read(track, body)
        except (SrtpError, payload.PayloadCorrupt, rtp.PacketInvalid):
            figures.corrupt += 1
            return
        if track.continuity.repaired(number):
            figures.received += 1
            figures.received_bytes += len(packet)
            figures.recovered += 1
        else:
            figures.probes += 1

    def _note_arrival(self, number: int, now: float) -> None:
        if number < 0:
            return
        if self._transport_highest < 0:
            self._transport_highest = number + 0x10000
        step = rtp.distance(number, self._transport_highest & 0xFFFF)
        unwrapped = self._transport_highest + step
        self._transport_highest = max(self._transport_highest, unwrapped)
        arrivals = self._arrivals
        if arrivals and abs(unwrapped - next(iter(arrivals))) >= rtcp.MAX_FEEDBACK_NUMBERS // 2:
            self._send_feedback()
            arrivals = self._arrivals
        arrivals.setdefault(unwrapped, now)

    def _receive_rtcp(self, compound: bytes) -> None:
        for item in rtcp.parse(compound):
            if isinstance(item, rtcp.SenderReport) and (track := self._tracks.get(item.ssrc)):
                track.sender_report = (item.middle, time.monotonic())

    def _tick(self) -> None:
        self.connection.tick()
        if not self.connection.is_connected:
            return
        if self._arrivals:
            self._send_feedback()
        now = time.time()  # the clock of arrivals
        for track in self._tracks.values():
            if track.kind == "video":
                if lost := track.continuity.wanted(now):
                    self.connection.send_rtcp(rtcp.nack(SSRC, track.ssrc, lost[:200]))
                self._ask_for_keyframe(track, now)
            else:
                track.continuity.wanted(now)  # audio is not asked for again, as browsers have it
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report()

    def _ask_for_keyframe(self, track: Track, now: float) -> None:
        if track.continuity.highest < 0 and now - track.keyframe_asked_at >= FIRST_FRAME_SECONDS:
            track.keyframe_asked_at = now
            self.connection.send_rtcp(rtcp.picture_loss(SSRC, track.ssrc))

    def _send_feedback(self) -> None:
        arrivals, self._arrivals = self._arrivals, {}
        media = next(iter(self._tracks), 0)
        feedback = rtcp.transport_feedback(SSRC, media, self._feedback_count, arrivals)
        self._feedback_count += 1
        self.connection.send_rtcp(feedback)

    def _report(self) -> None:
        blocks = [self._block(t) for t in self._tracks.values() if t.continuity.highest >= 0]
        for at in range(0, len(blocks), 31):
            self.connection.send_rtcp(rtcp.receiver_report(SSRC, blocks[at : at + 31]))

    def _block(self, track: Track) -> rtcp.Block:
        continuity = track.continuity
        before, track.reported = track.reported, (continuity.received, continuity.lost)
        received, lost = (continuity.received - before[0], continuity.lost - before[1])
        middle, heard_at = track.sender_report
        delay = int((time.monotonic() - heard_at) * 65_536) if middle else 0
        return rtcp.Block(
            track.ssrc,
            min(255, 256 * lost // max(1, received + lost)),
            continuity.lost,
            continuity.highest & 0xFFFFFFFF,
            0,
            middle,
            delay,
        )


def read(track: Track, body: bytes, payload_type: int = 0) -> payload.Mark:
    """Check a payload, all of it. Raises PayloadCorrupt."""
    if track.codec is not None:
        return payload.read_video(track.codec, body)
    if payload_type != RED:
        return payload.read_audio(body)
    *older, newest = [payload.read_audio(block) for block in payload.blocks(body)]
    if any(mark.counter + 1 != newest.counter for mark in older):
        raise payload.PayloadCorrupt
    return newest


__all__ = ["Downlink", "Track", "read"]
