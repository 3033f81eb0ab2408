"""What one room exchanges with one other worker: the tracks that are published here go, those published there come.

No track goes further than one link, so nothing goes round in a circle. A simulcast track goes up to the largest layer
that somebody there watches, by the rule by which publishers are asked for layers, so that every subscriber there can go
up and down as if the publisher were at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.media.v1.relay_pb2 import RelayEncoding, RelayMessage, RelayTrack

from services.media import messages
from services.media.downlink import Accepted, Downlink, Way
from services.media.listener import Listener
from services.media.mood import Totals
from services.media.remote import CODECS, Arriving, remote_track
from services.media.track import PublishedTrack
from services.media.transport import Transport, rejected

MAX_TRACKS = 4_000
"""Of one room by one link; more are refused, and counted."""
NONE = -1


class Registry(Protocol):
    """All links of a room; `speaking` is who speaks here."""

    speaking: list[str]

    def attach(self, link: Link) -> None:
        """Have one more."""
        ...

    def detach(self, link: Link) -> None:
        """Have one less."""
        ...


class Part(Protocol):
    """A room, as much of it as is here."""

    name: str
    listener: Listener

    @property
    def links(self) -> Registry:
        """Its links."""

    def own_tracks(self) -> list[PublishedTrack]:
        """List what is published here."""
        ...

    def take(self, track: PublishedTrack) -> None:
        """Have a track that is published elsewhere."""
        ...

    def lose(self, track: PublishedTrack) -> None:
        """Have it no more."""
        ...

    def review_soon(self) -> None:
        """Look at what is watched, with the next tick."""
        ...

    def pass_on(self, label: str, message: bytes, sender: str = "") -> None:
        """Send a data channel's message to everybody here but its sender."""
        ...


class Wire(Protocol):
    """A relay, as its links use it: `receiving` and `sending` have by SSRC what comes and what goes."""

    node: str
    transport: Transport
    way: Way
    say: Callable[[RelayMessage], None]
    receiving: dict[int, Arriving]
    sending: dict[int, Downlink]

    def new_ssrc(self) -> int:
        """Get an SSRC that was never used on this way."""
        ...

    def unlink(self, name: str) -> None:
        """Share a room no more."""
        ...


@dataclass(slots=True, eq=False)
class _Outgoing:
    """A track of this worker's on its way: a downlink for each encoding; `rank` is the highest that is wanted."""

    track: PublishedTrack
    downlinks: list[Downlink]
    encodings: list[RelayEncoding]
    rank: int = NONE


@dataclass(slots=True, eq=False)
class _Incoming:
    """A track of the other worker's; `is_taken` while the room has it."""

    track: PublishedTrack
    ssrcs: list[int]
    is_taken: bool = True


class Link:
    """One room and one other worker. It is met when that one has said that it has the room."""

    def __init__(self, wire: Wire, part: Part) -> None:
        self.node = wire.node
        self.is_met = False
        self._wire = wire
        self._part = part
        self._outgoing: dict[str, _Outgoing] = {}
        self._incoming: dict[str, _Incoming] = {}
        part.links.attach(self)

    @property
    def tracks(self) -> list[PublishedTrack]:
        """What comes by it."""
        return [each.track for each in self._incoming.values() if each.is_taken]

    @property
    def packets_out(self) -> int:
        """RTP packets sent, without retransmissions, of the tracks that there are."""
        return sum(d.lane.packets for each in self._outgoing.values() for d in each.downlinks)

    @property
    def tracks_out(self) -> int:
        """How many tracks the other worker knows of."""
        return len(self._outgoing)

    def meet(self) -> None:
        """The other worker has the room: show it what there is."""
        self.is_met = True
        for track in self._part.own_tracks():
            self.publish(track)
        self.speak(self._part.links.speaking)

    def leave(self) -> None:
        """The room ends here."""
        self._wire.unlink(self._part.name)

    def end(self) -> None:
        """The other worker has the room no more, or can't be reached: what came by it is gone."""
        for outgoing in tuple(self._outgoing.values()):
            self._withdraw(outgoing)
        for incoming in tuple(self._incoming.values()):
            self._forget(incoming)
        self._part.links.detach(self)
        self._part.listener.elsewhere(self.node, [])

    def publish(self, track: PublishedTrack) -> None:
        """Show the other worker a track of this one's; media goes when it is wanted there."""
        if not self.is_met or track.id in self._outgoing:
            return
        codec, wire = track.forwarder.codec, self._wire
        outgoing = _Outgoing(track, [], [])
        for rid in track.section.rids or [""]:
            ssrc = wire.new_ssrc()
            rtx_ssrc = wire.new_ssrc() if codec.rtx_payload_type else 0
            accepted = Accepted(codec.rtx_payload_type, rtx_ssrc)
            downlink = Downlink(wire.way, ssrc, accepted)
            downlink.is_exact = True
            outgoing.downlinks.append(downlink)
            outgoing.encodings.append(RelayEncoding(rid=rid, ssrc=ssrc, rtx_ssrc=rtx_ssrc))
            wire.sending[ssrc] = downlink
            track.forwarder.add(downlink)
        self._outgoing[track.id] = outgoing
        self._say_track(outgoing)

    def update(self, track: PublishedTrack) -> None:
        """A track of this worker's was muted or unmuted."""
        if outgoing := self._outgoing.get(track.id):
            self._say_track(outgoing)

    def unpublish(self, track: PublishedTrack) -> None:
        """A track of this worker's is gone."""
        if (outgoing := self._outgoing.get(track.id)) is not None:
            self._withdraw(outgoing)
            message = self._message()
            message.track_gone.track_id = track.id
            self._wire.say(message)

    def watched(self, track_id: str) -> int:
        """Tell the highest rank of a track of this worker's that somebody there watches, -1 for none."""
        outgoing = self._outgoing.get(track_id)
        return NONE if outgoing is None else outgoing.rank

    def want(self, track_id: str, rank: int) -> None:
        """Say which encodings of a track of the other worker's are watched here."""
        if track_id in self._incoming:
            message = self._message()
            message.wanted.track_id, message.wanted.rank = track_id, rank
            self._wire.say(message)

    def drop(self, track: PublishedTrack) -> None:
        """Have a track of the other worker's no more, though it goes on there."""
        incoming = self._incoming[track.id]
        self.want(track.id, NONE)
        incoming.is_taken = False
        self._part.lose(track)

    def send_data(self, label: str, data: bytes) -> None:
        """Pass a data channel's message on."""
        message = self._message()
        message.data.label, message.data.message = label, data
        self._wire.say(message)

    def speak(self, participants: Sequence[str]) -> None:
        """Tell who speaks here."""
        message = self._message()
        message.speakers.SetInParent()
        message.speakers.participants.extend(participants)
        self._wire.say(message)

    def share_mood(self, totals: Totals) -> None:
        """Tell what faces here show, added up."""
        message = self._message()
        message.mood.participant_count = totals.people
        message.mood.totals.update(totals.scores)
        self._wire.say(message)

    def hear(self, message: RelayMessage) -> None:
        """Take what the other worker says of the room."""
        match message.WhichOneof("message"):
            case "track":
                self._receive_track(message.track)
            case "track_gone":
                if incoming := self._incoming.get(message.track_gone.track_id):
                    self._forget(incoming)
            case "wanted":
                self._send(message.wanted.track_id, message.wanted.rank)
            case "data":
                self._part.pass_on(message.data.label, message.data.message)
            case "speakers":
                self._part.listener.elsewhere(self.node, list(message.speakers.participants))
            case "mood":
                totals = Totals(dict(message.mood.totals), message.mood.participant_count)
                self._part.listener.mood(self.node, totals)

    def _message(self) -> RelayMessage:
        return RelayMessage(meeting=self._part.name)

    def _say_track(self, outgoing: _Outgoing) -> None:
        message = self._message()
        message.track.track.CopyFrom(messages.track(outgoing.track))
        message.track.codec = outgoing.track.forwarder.codec.name
        message.track.encodings.extend(outgoing.encodings)
        self._wire.say(message)

    def _send(self, track_id: str, rank: int) -> None:
        """Send the encodings of a track up to a rank."""
        if (outgoing := self._outgoing.get(track_id)) is None:
            return
        if rank > outgoing.rank:
            self._part.review_soon()
        outgoing.rank = rank
        for each, downlink in enumerate(outgoing.downlinks):
            outgoing.track.forwarder.choose(downlink, each if each <= rank else NONE)

    def _withdraw(self, outgoing: _Outgoing) -> None:
        del self._outgoing[outgoing.track.id]
        for downlink in outgoing.downlinks:
            outgoing.track.forwarder.remove(downlink)
            del self._wire.sending[downlink.ssrc]
        sent = [s for each in outgoing.encodings for s in (each.ssrc, each.rtx_ssrc) if s]
        self._wire.transport.forget_sources((), sent)

    def _receive_track(self, shown: RelayTrack) -> None:
        if known := self._incoming.get(shown.track.id):
            known.track.forwarder.muted = shown.track.muted
        elif shown.codec not in CODECS or len(self._incoming) >= MAX_TRACKS:
            rejected.labels("relay").inc()
        else:
            self._begin(shown)

    def _begin(self, shown: RelayTrack) -> None:
        wire = self._wire
        track = remote_track(shown, self.node, wire.way.fanout, wire.transport.send_rtcp)
        ssrcs = []
        for rank, each in enumerate(shown.encodings):
            primary = Arriving(track, each.ssrc, each.rid, rank)
            wire.receiving[each.ssrc] = primary
            ssrcs.append(each.ssrc)
            if each.rtx_ssrc:
                wire.receiving[each.rtx_ssrc] = Arriving(track, each.rtx_ssrc, repairs=primary)
                ssrcs.append(each.rtx_ssrc)
        for ssrc in ssrcs:
            wire.transport.inlet.expect(ssrc)
        self._incoming[track.id] = _Incoming(track, ssrcs)
        self.want(track.id, len(shown.encodings) - 1)
        self._part.take(track)

    def _forget(self, incoming: _Incoming) -> None:
        del self._incoming[incoming.track.id]
        for ssrc in incoming.ssrcs:
            del self._wire.receiving[ssrc]
        self._wire.transport.forget_sources(incoming.ssrcs, ())
        if incoming.is_taken:
            self._part.lose(incoming.track)


__all__ = ["NONE", "Link", "Part", "Wire"]
