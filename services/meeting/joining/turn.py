"""TURN credentials for browsers: they hold for a while, and the relay checks them by itself.

The relay (coturn with `use-auth-secret`) shares a secret with us: the username says until when it holds, the password
is the username's HMAC under that secret (draft-uberti-behave-turn-rest-00 §2.2). Nothing is kept, nobody is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from parley.meeting.v1 import meeting_pb2


@dataclass(frozen=True, slots=True)
class Turn:
    """The relay: `urls` as W3C webrtc-pc §4.2.2 has them, and the secret that it shares with us."""

    urls: Sequence[str]
    secret: str = field(repr=False)
    lifetime: timedelta

    def server(self, participant: str, now: datetime) -> meeting_pb2.IceServer:
        """Issue credentials to a participant, by its id, for as long as `lifetime` from now."""
        username = f"{int((now + self.lifetime).timestamp())}:{participant}"
        return meeting_pb2.IceServer(
            urls=self.urls, username=username, credential=credential(self.secret, username)
        )


def credential(secret: str, username: str) -> str:
    """Make the password that goes with a username."""
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return base64.b64encode(digest).decode()


__all__ = ["Turn", "credential"]
