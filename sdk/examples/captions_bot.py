"""A bot that joins a meeting, listens to the captions, and answers in the chat whoever says its name.

    python captions_bot.py https://meet.example.org abc-defg-hij --name Robin

It comes as a guest, where the meeting lets guests in, or by an API key with the scope for writing meetings in
PARLEY_API_KEY. The host switches the captions on. It leaves when the meeting is over, or on Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import suppress

from parley.client import ApiKey, Guest, Parley, ParleyError, Room


async def attend(url: str, meeting: str, name: str) -> None:
    """Sit in the meeting until it is over."""
    key = os.environ.get("PARLEY_API_KEY")
    credentials = ApiKey(key) if key else Guest(meeting, name)
    async with (
        Parley.connect(url, credentials=credentials) as parley,
        parley.join(meeting, name=name) as room,
    ):
        print(f"joined {room.meeting.title!r} as {room.participant.display_name}", flush=True)
        await answer(room, name)


async def answer(room: Room, name: str) -> None:
    """Answer every sentence that names the bot."""
    async for caption in room.captions():
        text = caption.speech.text
        if name.lower() not in text.lower():
            continue
        speaker = room.participants.get(caption.participant)
        whom = speaker.display_name if speaker else "Somebody who has left"
        try:
            await room.chat(f"{whom}, I heard: “{text}”")
        except ParleyError as error:  # such as CHAT_NOT_ALLOWED: go on listening
            print(f"not answered: {error}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("url", help="the server, https://host[:port]")
    parser.add_argument("meeting", help="the meeting's code or link")
    parser.add_argument("--name", default="Robin", help="what the bot is called")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(attend(arguments.url, arguments.meeting, arguments.name))


if __name__ == "__main__":
    main()
