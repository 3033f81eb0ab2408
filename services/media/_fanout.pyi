"""The compiled fan-out. Its outlets and lanes are of types of its own, which look like those of fanout.py."""

from collections.abc import Callable, Sequence

from services.media.fanout import Lane, Outlet, Send
from services.media.payload import Vp8Numbers

class Fanout:
    def __init__(
        self, socket: int, srtp_protect: int, send: Send, schedule: Callable[[], None]
    ) -> None: ...
    def outlet(self) -> Outlet: ...
    def lane(self, outlet: Outlet, ssrc: int) -> Lane: ...
    def forward(
        self,
        packet: bytearray,
        extended: int,
        timestamp: int,
        numbers: Vp8Numbers,
        lanes: Sequence[Lane],
        now: float,
    ) -> None: ...
    def send(self, outlet: Outlet, packet: bytes, now: float) -> None: ...
    def flush(self) -> int: ...
