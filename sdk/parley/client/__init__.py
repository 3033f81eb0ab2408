"""Parley for programs: sign in, call every service by its typed stub, join meetings and hear what happens in them.

    async with Parley.connect("https://meet.example.org", credentials=ApiKey("pk_…")) as parley:
        async with parley.join("abc-defg-hij", name="Bot") as room:
            async for caption in room.captions():
                await room.chat(caption.speech.text)

Messages and stubs are generated from the contracts (parley.meeting.v1 and its neighbours).
"""

from __future__ import annotations

from parley.client._credentials import (
    AccessToken,
    ApiKey,
    Credentials,
    Guest,
    Password,
    Tokens,
    meeting_name,
)
from parley.client._endpoint import VERSION
from parley.client._errors import ParleyError
from parley.client._events import Event, Missed, Snapshot
from parley.client._pages import pages
from parley.client._parley import Parley
from parley.client._retries import Retries
from parley.client._room import Room

__version__ = VERSION

__all__ = [
    "AccessToken",
    "ApiKey",
    "Credentials",
    "Event",
    "Guest",
    "Missed",
    "Parley",
    "ParleyError",
    "Password",
    "Retries",
    "Room",
    "Snapshot",
    "Tokens",
    "meeting_name",
    "pages",
]
