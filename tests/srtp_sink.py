"""A subscriber's end of a fan-out: what it gets, unprotected by the keys that it shares."""

from __future__ import annotations

import socket
from functools import partial

from pylibsrtp import Policy, Session

from services.media import rtp
from services.media.dtls import OutboundSrtp
from services.media.fanout import PythonFanout, Send
from services.media.ice import Address
from services.media.outlet import Outlet

KEY = bytes(range(44))


def fanout_to(send: Send) -> PythonFanout:
    """A fan-out whose datagrams go to `send`, and that is not read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
        return PythonFanout(unread, send, lambda _datagram, _source, _now: None)


def session(direction: int) -> Session:
    gcm = Policy.SRTP_PROFILE_AEAD_AES_256_GCM
    return Session(Policy(key=KEY, ssrc_type=direction, srtp_profile=gcm))


class Network:
    """Brings what a fan-out sends to its sinks, by address."""

    def __init__(self) -> None:
        self._sinks: dict[Address, Sink] = {}
        self.fanout = fanout_to(self.send)

    def send(self, datagram: bytes, address: Address) -> None:
        self._sinks[address].receive(datagram)

    def sink(self) -> Sink:
        sink = Sink(self.fanout.outlet(), ("127.0.0.1", 5000 + len(self._sinks)))
        assert sink.outlet.address is not None
        self._sinks[sink.outlet.address] = sink
        return sink


class Sink:
    """A subscriber's end. `rtp` and `rtcp` are what came, in plain."""

    def __init__(self, outlet: Outlet, address: Address) -> None:
        self.outlet = outlet
        self.outlet.address = address
        self.outlet.srtp = OutboundSrtp(partial(session, Policy.SSRC_ANY_OUTBOUND))
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self._inbound = session(Policy.SSRC_ANY_INBOUND)

    def receive(self, datagram: bytes) -> None:
        self.rtp.append(self._inbound.unprotect(datagram))

    def send_rtcp(self, packet: bytes) -> None:
        self.rtcp.append(packet)

    @property
    def sequence(self) -> list[int]:
        return [rtp.sequence_number(each) for each in self.rtp]
