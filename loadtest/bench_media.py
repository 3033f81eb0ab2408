"""What forwarding costs: CPU of the server process per forwarded packet, 4 publishers to 8 subscribers each.

Two ways in one run, in turn, so that a noisy machine is fair to both: ours (the worker's own port, transports and
forwarders: the header is rewritten in place) and the RtpPacket way (aiortc's own classes: RTCDtlsTransport receives and parses, a new RtpPacket per subscriber
is serialized and sent by that subscriber's RTCDtlsTransport). Both unprotect each packet once and protect it for every
subscriber with AEAD-AES-256-GCM, on uvloop, over real sockets on loopback. Packets carry the extensions that Chrome
sends. The handshakes are left out: keys are given.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import uvloop
from aiortc import (
    RTCCertificate,
    RTCDtlsTransport,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
)
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpparameters import RTCRtpDecodingParameters, RTCRtpReceiveParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from pylibsrtp import Policy, Session

from services.media.dtls import OutboundSrtp
from services.media.forwarder import Downlink, Forwarder
from services.media.port import Port
from services.media.rtp import PacketInvalid
from services.media.sdp import VP8
from services.media.transport import Transport
from stack.bench import Figure

PUBLISHERS = 4
SUBSCRIBERS = 8
PACKETS_PER_SECOND = 300  # of each publisher: 9,600 forwarded a second in all
PAYLOAD_BYTES = 1_000
FRAME_PACKETS = 5  # that a camera sends at once: 60 frames a second of 40 kbit
ROUND_SECONDS = 4.0
ROUNDS = 3
BAR = 0.5
EXTENSIONS = {
    2: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    3: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    4: "urn:ietf:params:rtp-hdrext:sdes:mid",
}
KEY = bytes(range(44))


def main() -> list[Figure]:
    """Measure both ways, ROUNDS times in turn."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_measure("ours"))
        theirs.append(_measure("rtp-packet"))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return [
        Figure("CPU per forwarded packet, ours", statistics.median(ours), "µs"),
        Figure("CPU per forwarded packet, RtpPacket way", statistics.median(theirs), "µs"),
        Figure("ratio, median of pairs", ratio, "x", f"<= {BAR} x", ratio <= BAR),
    ]


def _measure(way: str) -> float:
    """Run a server of one way and load it; returns its CPU microseconds per forwarded packet."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(way, theirs))
    server.start()
    try:
        _load(ours.recv())
        ours.send("stop")
        result = json.loads(ours.recv())
    finally:
        server.join(10)
    sent = PUBLISHERS * SUBSCRIBERS * PACKETS_PER_SECOND * ROUND_SECONDS
    if result["forwarded"] < 0.9 * sent:
        raise RuntimeError(f"void: {result['forwarded']} of {sent:.0f} packets were forwarded")
    return float(result["cpu_seconds"]) * 1e6 / float(result["forwarded"])


def _load(port: int) -> None:
    """Send every publisher's packets, a frame after the other, for ROUND_SECONDS."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PUBLISHERS)]
    sessions = [_session(Policy.SSRC_ANY_OUTBOUND) for _ in range(PUBLISHERS)]
    for each in sockets:
        each.connect(("127.0.0.1", port))
    payload = os.urandom(PAYLOAD_BYTES)
    began = time.monotonic()
    for number in range(int(PACKETS_PER_SECOND * ROUND_SECONDS)):
        for index in range(PUBLISHERS):
            header = (
                bytes([0x90, 96]) + number.to_bytes(2, "big") + (number * 3000).to_bytes(4, "big")
            )
            counter = (number * PUBLISHERS + index).to_bytes(2, "big")
            extension = b"\xbe\xde\x00\x03\x22\x00\x01\x02\x31" + counter + b"\x401\x00\x00\x00"
            packet = header + (1000 + index).to_bytes(4, "big") + extension + payload
            sockets[index].send(sessions[index].protect(packet))
        ahead = began + number / PACKETS_PER_SECOND - time.monotonic()
        if ahead > 0 and number % FRAME_PACKETS == 0:
            time.sleep(ahead)
    for each in sockets:
        each.close()


def _serve(way: str, pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serving(way, pipe))


async def _serving(way: str, pipe: Connection) -> None:
    """Forward until told to stop, then tell what it cost."""
    sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SUBSCRIBERS)]
    for sink in sinks:
        sink.bind(("127.0.0.1", 0))
    addresses = [sink.getsockname() for sink in sinks]
    serve = _serve_ours if way == "ours" else _serve_rtp_packets
    number, forwarded, pump = await serve(addresses)
    pumping = asyncio.create_task(pump)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), stopped.set)
    before = _cpu_seconds()
    pipe.send(number)
    await stopped.wait()
    cost = _cpu_seconds() - before
    pipe.send(json.dumps({"cpu_seconds": cost, "forwarded": forwarded()}))
    pumping.cancel()


Server = tuple[int, Callable[[], int], Coroutine[None, None, None]]
"""A server's port, how many packets it has forwarded, and what it does meanwhile."""


async def _serve_ours(addresses: list[tuple[str, int]]) -> Server:
    port = Port("127.0.0.1:0", ("127.0.0.1",))
    outlets = [_transport(port, address) for address in addresses]
    publisher = _transport(port, ("127.0.0.1", 9))
    publisher.on_rtp = _ours(outlets)
    _take_all(port, publisher)
    port.open()
    return port.number, lambda: sum(o.traffic.packets_out for o in outlets), asyncio.sleep(3600)


async def _serve_rtp_packets(addresses: list[tuple[str, int]]) -> Server:
    number, forwarder, publisher = await _rtp_packets(addresses)

    async def pump() -> None:
        while True:
            await publisher._recv_next()

    return number, lambda: forwarder.forwarded, pump()


def _take_all(port: Port, publisher: Transport) -> None:
    """Give every datagram to one transport, since no check has proved an address."""

    def route(datagram: bytes, _source: tuple[str, int], _now: float) -> None:
        publisher.receive(datagram)

    port._route = route  # type: ignore[method-assign,assignment]


def _ours(outlets: list[Transport]) -> Any:
    forwarders = {}
    for index in range(PUBLISHERS):
        forwarder = Forwarder(VP8, {1: 1, 4: 4}, 3, lambda _packet: None)
        for number, outlet in enumerate(outlets):
            forwarder.downlinks.append(Downlink(outlet, 5000 + 100 * index + number))
        forwarders[1000 + index] = forwarder

    def receive(packet: bytes) -> None:
        try:
            forwarders[int.from_bytes(packet[8:12], "big")].receive(packet, time.monotonic())
        except PacketInvalid:
            return

    return receive


class _DatagramIce(asyncio.DatagramProtocol):
    """What RTCDtlsTransport receives from and sends through, as aioice has it: a queue in, an address out."""

    role = "controlled"

    def __init__(self, address: tuple[str, int] | None = None) -> None:
        self.address = address
        self.transport: asyncio.DatagramTransport | None = None
        self._received: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a datagram endpoint's

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        self._received.put_nowait(data)

    async def _recv(self) -> bytes:
        return await self._received.get()

    async def _send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.sendto(data, self.address)


class _RtpPacketForwarder:
    """Forwards as an SFU on aiortc's own classes would: a receiver on one transport, a packet per subscriber."""

    def __init__(self, senders: list[Any], extensions: HeaderExtensionsMap) -> None:
        self._senders = senders
        self._extensions = extensions
        self.forwarded = 0

    def _handle_disconnect(self) -> None:
        """The publisher is gone."""

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        """Nothing of interest here."""

    async def _handle_rtp_packet(self, packet: RtpPacket, **_rest: int) -> None:
        for number, sender in enumerate(self._senders):
            copy = RtpPacket(
                payload_type=VP8.payload_type,
                marker=packet.marker,
                sequence_number=packet.sequence_number,
                timestamp=packet.timestamp,
                ssrc=packet.ssrc * 10 + number,
                payload=packet.payload,
            )
            copy.extensions.abs_send_time = packet.extensions.abs_send_time
            copy.extensions.mid = packet.extensions.mid
            await sender._send_rtp(copy.serialize(self._extensions))
            self.forwarded += 1


async def _rtp_packets(addresses: list[tuple[str, int]]) -> tuple[int, _RtpPacketForwarder, Any]:
    """Make the RtpPacket way's server; returns its port, its forwarder and its publisher's transport."""
    parameters = RTCRtpReceiveParameters(
        codecs=[RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96)],
        encodings=[
            RTCRtpDecodingParameters(ssrc=1000 + i, payloadType=96) for i in range(PUBLISHERS)
        ],
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=identifier, uri=uri)
            for identifier, uri in EXTENSIONS.items()
        ],
    )
    extensions = HeaderExtensionsMap()
    extensions.configure(parameters)
    loop = asyncio.get_running_loop()
    endpoint, ice = await loop.create_datagram_endpoint(_DatagramIce, local_addr=("127.0.0.1", 0))
    certificate = RTCCertificate.generateCertificate()
    senders = []
    for address in addresses:
        out = _DatagramIce(address)
        out.transport = endpoint
        senders.append(_connected(RTCDtlsTransport(out, [certificate])))  # type: ignore[arg-type]  # as much of it as media needs
    publisher = _connected(RTCDtlsTransport(ice, [certificate]))  # type: ignore[arg-type]
    forwarder = _RtpPacketForwarder(senders, extensions)
    publisher._register_rtp_receiver(forwarder, parameters)
    return endpoint.get_extra_info("sockname")[1], forwarder, publisher


def _connected(transport: RTCDtlsTransport) -> Any:
    """Leave out the handshake: give the keys that it would have made."""
    keyed: Any = transport
    keyed._rx_srtp = _session(Policy.SSRC_ANY_INBOUND)
    keyed._tx_srtp = _session(Policy.SSRC_ANY_OUTBOUND)
    keyed._ssl = SimpleNamespace(DTLSv1_get_timeout=lambda: None)
    keyed.encrypted = True
    keyed._set_state(State.CONNECTED)
    return keyed


def _transport(port: Port, address: tuple[str, int]) -> Transport:
    """Make a transport whose handshake is done already, with keys that both sides know."""
    transport = port.new_transport()
    transport.ice.address = address
    inbound = _session(Policy.SSRC_ANY_INBOUND)
    outbound = OutboundSrtp(_session(Policy.SSRC_ANY_OUTBOUND))
    keyed: Any = SimpleNamespace(inbound=inbound, outbound=outbound)
    transport._dtls = keyed
    return transport


def _session(direction: int) -> Session:
    policy = Policy(key=KEY, ssrc_type=direction, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    policy.allow_repeat_tx = True
    return Session(policy)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
