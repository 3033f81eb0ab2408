"""The way between two workers that share rooms: one DTLS-SRTP association for all of them, between their two ports.

Media takes the code path of any peer's: what goes is fed by downlinks, what comes feeds forwarders, losses are asked
for by NACK and keyframes by PLI. What is said beside it (`say`, `hear`) goes by RelayService. SSRCs count up and never
come again, since SRTP forgets those that are gone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from parley.media.v1.relay_pb2 import RelayMessage

from chassis import logs, telemetry
from services.media import rtcp, rtp
from services.media.downlink import Downlink, Way
from services.media.fanout import Fanout
from services.media.link import Link, Part
from services.media.remote import Arriving
from services.media.resends import Resends
from services.media.transport import Transport, rejected

RESENDS_BPS = 50_000_000
"""Workers are near one another, and what is lost between them is lost for many."""
REPORT_BLOCKS = 31
"""Sources of which one receiver report tells (RFC 3550 §6.4.2: the count has five bits)."""
CONNECT_SECONDS = 5.0
CONSENT_SECONDS = 3.0
"""Without a check, or an answer to one, for this long the other worker counts as gone: it sends one every second."""
IDLE_SECONDS = 5.0
"""After which a relay without rooms ends."""
FIRST_SSRC = 1 << 16

log = logs.get("media.relay")

_packets = telemetry.counter(
    "media_relay_packets", "RTP packets between this worker and others.", ("direction",)
)


class Relay:
    """A way to `node`. `say` sends a message to it, `find` finds a room of this worker's, `on_close` hears the end."""

    def __init__(
        self,
        node: str,
        incarnation: str,
        transport: Transport,
        fanout: Fanout,
        say: Callable[[RelayMessage], None],
        find: Callable[[str], Part | None],
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.transport = transport
        self.way = Way(fanout, transport.outlet, Resends(RESENDS_BPS), transport.send_rtcp)
        self.say = say
        self.links: dict[str, Link] = {}
        self.receiving: dict[int, Arriving] = {}
        self.sending: dict[int, Downlink] = {}
        self.on_close: Callable[[], None] = lambda: None
        self.is_closed = False
        self._find = find
        self._ssrc = FIRST_SSRC + secrets.randbelow(1 << 31)
        self._began = self._busy_at = time.monotonic()
        self._reported_at = 0.0
        self.was_connected = False
        self._told = (0, 0)
        transport.inlet.max_sources = 0  # none but those that are announced
        transport.inlet.on_rtp = self._receive_rtp
        transport.inlet.on_rtcp = self._receive_rtcp

    def link(self, part: Part) -> None:
        """Share a room, as soon as the other worker has it as well; again changes nothing."""
        if not self.is_closed and part.name not in self.links:
            self._open(part)
            self._say_linked(part.name, is_answer=False)

    def unlink(self, name: str) -> None:
        """Share a room no more."""
        if (link := self.links.pop(name, None)) is not None:
            link.end()
            message = RelayMessage(meeting=name)
            message.unlinked.SetInParent()
            self.say(message)

    def hear(self, message: RelayMessage) -> None:
        """Take what the other worker says."""
        if self.is_closed:
            return
        kind = message.WhichOneof("message")
        if kind == "linked":
            self._meet(message.meeting, is_answer=message.linked.answer)
        elif (link := self.links.get(message.meeting)) is None:
            return  # it was on its way when the room ended here
        elif kind == "unlinked":
            del self.links[message.meeting]
            link.end()
        else:
            link.hear(message)

    def new_ssrc(self) -> int:
        """Get an SSRC that was never used on this way."""
        self._ssrc = self._ssrc + 1 & 0xFFFFFFFF or FIRST_SSRC
        return self._ssrc

    def tick(self, now: float) -> None:
        """Do what is due; call some twenty times a second."""
        self.transport.tick(now)
        if self.links:
            self._busy_at = now
        if self._is_over(now):
            self.close()
        elif now - self._reported_at >= rtcp.REPORT_SECONDS:
            self._reported_at = now
            self._report(now)

    def flush_counters(self) -> None:
        """Add what has passed to the metrics."""
        came, went = self.transport.inlet.packets, self.transport.outlet.number
        _packets.labels("in").inc(came - self._told[0])
        _packets.labels("out").inc(went - self._told[1])
        self._told = came, went

    def close(self) -> None:
        """End it: what came by it is gone."""
        if self.is_closed:
            return
        self.is_closed = True
        self.flush_counters()
        for link in tuple(self.links.values()):
            link.end()
        self.links.clear()
        self.on_close()

    def _open(self, part: Part) -> Link:
        link = self.links[part.name] = Link(self, part)
        return link

    def _meet(self, name: str, *, is_answer: bool) -> None:
        """The other worker has a room: show it what is published here, unless it knows."""
        link = self.links.get(name)
        if is_answer:
            if link is not None and not link.is_met:
                link.meet()
            return
        if link is not None and link.is_met:  # it has begun anew there
            link.end()
            link = None
        if link is None:
            if (part := self._find(name)) is None:
                return
            link = self._open(part)
        self._say_linked(name, is_answer=True)
        link.meet()

    def _say_linked(self, name: str, *, is_answer: bool) -> None:
        message = RelayMessage(meeting=name)
        message.linked.answer = is_answer
        self.say(message)

    def _is_over(self, now: float) -> bool:
        is_connected = self.transport.is_connected
        if self.was_connected or is_connected:
            is_lost = not is_connected or now - self.transport.ice.last_check > CONSENT_SECONDS
        else:
            is_lost = now - self._began > CONNECT_SECONDS
        self.was_connected = self.was_connected or is_connected
        if is_lost:
            log.warning("relay lost", node=self.node)
        return is_lost or now - self._busy_at > IDLE_SECONDS

    def _receive_rtp(self, packet: bytes) -> None:
        """Take the first packet of a source, or a retransmission: all else goes from the inlet to its stream."""
        try:
            if (arriving := self.receiving.get(rtp.ssrc(packet))) is None:
                raise rtp.PacketInvalid
            arriving.receive(packet, time.monotonic())
            if arriving.encoding is not None:
                self.transport.inlet.connect(arriving.ssrc, arriving.encoding.stream)
        except rtp.PacketInvalid:
            rejected.labels("relay").inc()

    def _receive_rtcp(self, packet: bytes) -> None:
        try:
            feedback = rtcp.parse(packet)
        except rtcp.RtcpInvalid:
            rejected.labels("rtcp").inc()
            return
        now = time.monotonic()
        for item in feedback:
            if isinstance(item, rtcp.SenderReport):
                if (arriving := self.receiving.get(item.ssrc)) is not None:
                    arriving.track.forwarder.report(item)
            elif isinstance(item, rtcp.TransportFeedback):
                continue
            elif (downlink := self.sending.get(item.ssrc)) is not None:
                downlink.take_feedback(item, now)

    def _report(self, now: float) -> None:
        blocks = [
            encoding.reception.block(encoding.ssrc, now)
            for link in self.links.values()
            for track in link.tracks
            for encoding in track.forwarder.encodings
        ]
        for at in range(0, len(blocks), REPORT_BLOCKS):
            self.transport.send_rtcp(rtcp.receiver_report(1, blocks[at : at + REPORT_BLOCKS]))
        self.way.report(self.sending.values(), now)


__all__ = ["Relay"]
