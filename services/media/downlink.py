"""One track on its way to one subscriber: which encoding feeds it, and the unbroken line of numbers that it sees.

A downlink aims at an encoding and goes over to it at that encoding's next keyframe; until then it stays with the one
that it has, so that nobody sees a gap. At each such seam sequence numbers, VP8 picture ids and timestamps go on as if
one source had sent it all (without, SRTP would take a track that comes back for a replay: RFC 3711 §3.3.1).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.media import rtcp, rtp
from services.media.encoding import Encoding
from services.media.fanout import Fanout
from services.media.outlet import Lane, Outlet
from services.media.resends import Resends
from services.media.stream import Kept

STRETCHES = 8
"""Stretches between seams of which lost packets can still be sent again."""
FRAME_SECONDS = 1 / 30
"""How far timestamps move on, at the least, from one source to the next."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What lies between two seams. Extended numbers of the publisher's, and what is added to get the subscriber's."""

    encoding: Encoding
    begin: int
    offset: int
    timestamp_offset: int
    picture_offset: int
    tl0_offset: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the subscriber's answer takes: retransmissions (payload type and SSRC, else 0), redundant audio."""

    rtx_payload_type: int = 0
    rtx_ssrc: int = 0
    red: bool = True


@dataclass(frozen=True, slots=True)
class Way:
    """One peer's way out, which its downlinks share."""

    fanout: Fanout
    outlet: Outlet
    resends: Resends
    send_rtcp: Callable[[bytes], None]

    def send(self, packet: bytes, now: float) -> None:
        """Send a packet as it is, as `Fanout.send`."""
        self.fanout.send(self.outlet, packet, now)

    def report(self, downlinks: Iterable[Downlink], now: float) -> None:
        """Send the sender reports of downlinks that it has, in as few packets as they fit into."""
        for packet in rtcp.joined(downlink.sender_report(now) for downlink in downlinks):
            self.send_rtcp(packet)


class Downlink:
    """A track to a subscriber. `rank` is that of the encoding that it is meant to have, -1 for none.

    `on_choices` hears when other encodings are being sent than before, or in other sizes.

    One that `is_exact` takes no smaller one instead: each encoding of a track to another worker has a downlink of its own.
    """

    def __init__(self, way: Way, ssrc: int, accepted: Accepted) -> None:
        self.ssrc = ssrc
        self.rank = -1
        self.is_exact = False
        self.on_choices: Callable[[], None] = _nothing
        self.lane = way.fanout.lane(way.outlet, ssrc)
        self.current: Encoding | None = None
        self.target: Encoding | None = None
        self.retransmitted = 0
        self.keyframe_requests = 0
        self.switches = 0
        self.report: rtcp.ReceptionReport | None = None
        self.rtt_seconds = 0.0
        self._reported: tuple[int, float] = (0, 0.0)
        self._passed_on: rtcp.SenderReport | None = None
        self._way = way
        self._accepted = accepted
        self._spares = False
        self._rtx_sequence = secrets.randbelow(1 << 15)
        self._stretches: deque[_Stretch] = deque(maxlen=STRETCHES)
        self._highest = -1
        self._timestamp = self._picture = self._tl0 = 0
        self._at = 0.0

    def aim(self, encoding: Encoding | None) -> None:
        """Have another encoding feed it, from its next keyframe on; None: nothing does, at once."""
        if encoding is self.target:
            return
        if self.target is not None and self in self.target.waiting:
            self.target.waiting.remove(self)
            self.target.watch()
        self.target = encoding
        if encoding is None:
            self._leave()
        elif encoding is not self.current:
            encoding.waiting.append(self)
            encoding.watch()
            encoding.request_keyframe()

    def begin(self, encoding: Encoding, kept: Kept, now: float) -> None:
        """Go over to an encoding, whose packet `kept` is the first to come this way."""
        had_stopped = self.current is None
        self._leave()
        lane, packet = self.lane, kept.packet
        picture_at, is_wide, tl0_at = kept.numbers
        if self._highest >= 0:
            lane.offset = self._highest + 1 - kept.extended
            lane.timestamp_offset = (
                self._continued(encoding, kept.timestamp, now) - kept.timestamp & 0xFFFFFFFF
            )
            if picture_at:
                wide = int.from_bytes(packet[picture_at : picture_at + 2], "big") & 0x7FFF
                lane.picture_offset = (
                    self._picture + 1 - (wide if is_wide else packet[picture_at] & 0x7F)
                )
            if tl0_at:
                lane.tl0_offset = self._tl0 + 1 - packet[tl0_at]
            self.switches += 1
        lane.begin = kept.extended
        self.current = encoding
        self._lanes(encoding).append(lane)
        encoding.watch()
        if had_stopped:
            self._stretches.clear()  # what had stopped begins anew: of what was lost before nothing is missed any more
        self._stretches.append(
            _Stretch(
                encoding,
                lane.begin,
                lane.offset,
                lane.timestamp_offset,
                lane.picture_offset,
                lane.tl0_offset,
            )
        )
        self._passed_on = None
        if report := self.sender_report(now):  # by it sound and picture are kept together
            self._way.send_rtcp(report)

    def note_highest(self) -> None:
        """Remember where the line is, while the encoding that feeds it still knows."""
        if (encoding := self.current) is None:
            return
        lane, stream = self.lane, encoding.stream
        self._highest = stream.highest + lane.offset
        self._timestamp = stream.timestamp + lane.timestamp_offset & 0xFFFFFFFF
        self._picture = stream.picture + lane.picture_offset
        self._tl0 = stream.tl0 + lane.tl0_offset
        self._at = stream.last_at

    def resend(self, lost: Sequence[int], now: float) -> None:
        """Send again, by RTX, what the subscriber has lost, by its own sequence numbers, as far as histories and `resends` go.

        What comes since the last seam goes first: a picture can go on from there.
        Never under the number that it had: what differs from the first sending (its transport-wide number does) would
        share a nonce with it, which gives AES-GCM's authentication away (RFC 7714 §8.1).
        """
        if not self._accepted.rtx_payload_type or self.current is None:
            return  # what has stopped begins anew, with a keyframe
        latest = self._stretches[-1]
        places = [place for place in map(self._place, lost) if place is not None]
        for stretch, extended in sorted(places, key=lambda place: place[0] is not latest):
            if (kept := stretch.encoding.stream.kept(extended)) is None:
                continue
            if not self._way.resends.take(len(kept.packet), now):
                return
            self._send_again(kept, stretch, now)
            self.retransmitted += 1

    @property
    def outlet(self) -> Outlet:
        """Get the way out that it takes."""
        return self._way.outlet

    @property
    def can_pad(self) -> bool:
        """Tell whether padding can be sent: it needs RTX. A picture that has not begun may wait for just that."""
        return bool(self._accepted.rtx_payload_type)

    def pad(self, size: int, now: float) -> None:
        """Send `size` bytes of padding, as congestion control's probes are made of. Needs `can_pad`."""
        self.note_highest()
        packet = rtp.padding(
            self._accepted.rtx_payload_type, self._next_rtx(), self._timestamp, size
        )
        self._way.send(rtp.under(packet, self._accepted.rtx_ssrc), now)

    def sender_report(self, now: float) -> bytes:
        """Make this track's sender report of what the publisher has said, since the last one, of the encoding that feeds it.

        Returns nothing where it has said nothing new: one that came twice would tell a wrong round trip.
        """
        report = None if self.current is None else self.current.report
        if report is None or report is self._passed_on:
            return b""
        lane, self._passed_on = self.lane, report
        self._reported = (report.ntp >> 16 & 0xFFFFFFFF, now)
        timestamp = report.rtp_timestamp + lane.timestamp_offset & 0xFFFFFFFF
        return rtcp.sender_report(self.ssrc, report.ntp, timestamp, lane.packets, lane.octets)

    def spare(self, *, spares: bool) -> None:
        """Send sound with or without redundancy, where the subscriber takes either."""
        if spares == self._spares:
            return
        encoding = self.current
        if encoding is not None:
            self._lanes(encoding).remove(self.lane)
        self._spares = spares
        if encoding is not None:
            self._lanes(encoding).append(self.lane)
            encoding.watch()

    def take_feedback(self, item: rtcp.Feedback, now: float) -> None:
        """Take what the subscriber tells of it, or asks."""
        if isinstance(item, rtcp.Nack):
            self.resend(item.lost, now)
        elif isinstance(item, rtcp.ReceptionReport):
            self.reported(item, now)
        elif isinstance(item, rtcp.KeyframeRequest):
            self.keyframe_requests += 1
            if (encoding := self.current or self.target) is not None:
                encoding.request_keyframe()

    def reported(self, report: rtcp.ReceptionReport, now: float) -> None:
        """Take what the subscriber says of it (RFC 3550 §6.4.1 has how the round trip follows)."""
        self.report = report
        name, at = self._reported
        if name and report.last_sender_report == name:
            self.rtt_seconds = max(0.0, now - at - report.delay_since / 65_536)

    def close(self) -> None:
        """Send nothing more."""
        self.aim(None)

    def _lanes(self, encoding: Encoding) -> list[Lane]:
        is_plain = self._spares or not self._accepted.red
        return encoding.plain_lanes if is_plain else encoding.stream.lanes

    def _leave(self) -> None:
        if self.current is None:
            return
        self.note_highest()
        self._lanes(self.current).remove(self.lane)
        self.current.watch()
        self.current = None

    def _continued(self, encoding: Encoding, timestamp: int, now: float) -> int:
        """Find the timestamp, on the subscriber's line, of a moment that the encoding calls `timestamp`."""
        rate = encoding.codec.clock_rate
        latest = self._stretches[-1]
        theirs, ours = latest.encoding.report, encoding.report
        moved, most = int((now - self._at) * rate), 10 * rate
        if latest.encoding is encoding:
            moved, most = _signed(timestamp + latest.timestamp_offset - self._timestamp), 1 << 31
        elif theirs is not None and ours is not None:
            between = (ours.ntp - theirs.ntp) * rate >> 32
            since = _signed(timestamp - ours.rtp_timestamp)
            meant = theirs.rtp_timestamp + between + since + latest.timestamp_offset
            moved = _signed(meant - self._timestamp)
        if not 0 < moved < most:
            moved = int(FRAME_SECONDS * rate)
        return self._timestamp + moved

    def _place(self, sequence: int) -> tuple[_Stretch, int] | None:
        """Tell what the subscriber knows by a number: a stretch, and the number there. In any other it is another packet."""
        latest = self._stretches[-1]
        highest = latest.encoding.stream.highest + latest.offset
        number = highest - (highest - sequence & 0xFFFF)
        for stretch in reversed(self._stretches):
            if number >= stretch.begin + stretch.offset:
                return stretch, number - stretch.offset
        return None

    def _send_again(self, kept: Kept, stretch: _Stretch, now: float) -> None:
        packet = bytearray(kept.packet)
        rtp.renumber(
            packet,
            kept.extended + stretch.offset,
            kept.timestamp + stretch.timestamp_offset,
            self.ssrc,
        )
        picture_at, is_wide, tl0_at = kept.numbers
        if picture_at and is_wide:
            picture = (
                int.from_bytes(packet[picture_at : picture_at + 2], "big") + stretch.picture_offset
            )
            packet[picture_at : picture_at + 2] = (0x8000 | picture & 0x7FFF).to_bytes(2, "big")
        elif picture_at:
            packet[picture_at] = packet[picture_at] + stretch.picture_offset & 0x7F
        if tl0_at:
            packet[tl0_at] = packet[tl0_at] + stretch.tl0_offset & 0xFF
        again = bytes(packet)
        accepted = self._accepted
        again = rtp.wrap_retransmission(
            again, kept.payload_at, accepted.rtx_payload_type, self._next_rtx()
        )
        self._way.send(rtp.under(again, accepted.rtx_ssrc), now)

    def _next_rtx(self) -> int:
        self._rtx_sequence += 1
        return self._rtx_sequence


def _nothing() -> None:
    """Nobody listens."""


def _signed(difference: int) -> int:
    """Read a difference of 32-bit timestamps as the shorter way round."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


__all__ = ["Accepted", "Downlink", "Way"]
