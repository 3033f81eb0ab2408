"""A service that makes meetings with an API key, and then lists all that its account has.

    PARLEY_API_KEY=pk_… python make_meetings.py https://meet.example.org "Daily" "Interview with Ann"

The key needs the scopes for reading and writing meetings. A line for each meeting: its code and its title.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from parley.client import ApiKey, Parley, ParleyError
from parley.meeting.v1.meeting_pb2 import CreateMeetingRequest, ListMeetingsRequest, Meeting


async def make(url: str, key: str, titles: list[str]) -> None:
    """Make a meeting of each title, all at once, then print every meeting that there is."""
    async with Parley.connect(url, credentials=ApiKey(key)) as parley:
        requests = [CreateMeetingRequest(meeting=Meeting(title=title)) for title in titles]
        made = await asyncio.gather(*map(parley.meetings.CreateMeeting, requests))
        for meeting in made:
            print("made", meeting.name.removeprefix("meetings/"), meeting.title)
        listing = ListMeetingsRequest(page_size=2)
        async for meeting in parley.pages(parley.meetings.ListMeetings, listing):
            print("have", meeting.name.removeprefix("meetings/"), meeting.title)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("url", help="the server, https://host[:port]")
    parser.add_argument("titles", nargs="+", help="what the meetings are about")
    arguments = parser.parse_args()
    try:
        key = os.environ["PARLEY_API_KEY"]
        asyncio.run(make(arguments.url, key, arguments.titles))
    except KeyError:
        sys.exit("PARLEY_API_KEY has no key.")
    except ParleyError as error:
        sys.exit(f"It can't be done: {error}")


if __name__ == "__main__":
    main()
