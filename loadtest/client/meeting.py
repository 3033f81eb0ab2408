"""Meetings, from their making to their end."""

from __future__ import annotations

from loadtest.client.answers import body, check, objects, refused, text_of
from loadtest.client.cases import case
from loadtest.client.user import register
from loadtest.client.visit import Visit

TITLE = "A test visit"


async def new_meeting(visit: Visit) -> str:
    """Make a meeting, to be ended when the visit is over; returns its resource name."""
    made = text_of(body(await visit.post("/api/v1/meetings", {"title": TITLE})), "name")
    visit.meetings.append(made)
    return made


@case("meeting", "create", needs=(register,))
async def create(visit: Visit) -> str:
    """The visitor is its host."""
    visit.meeting = await new_meeting(visit)
    return visit.meeting


@case("meeting", "get", needs=(create,))
async def get(visit: Visit) -> str:
    """It is what was made."""
    found = body(await visit.get(f"/api/v1/{visit.meeting}"))
    check(text_of(found, "title") == TITLE, f"the title is {found['title']!r}")
    check(text_of(found, "host") == visit.user, "the host is somebody else")
    return text_of(found, "state")


@case("meeting", "list", needs=(create,))
async def list_meetings(visit: Visit) -> str:
    """The new one is among the visitor's."""
    found = objects(body(await visit.get("/api/v1/meetings")), "meetings")
    check(visit.meeting in [each.get("name") for each in found], "the new meeting is not listed")
    return f"{len(found)} listed"


@case("meeting", "join", needs=(create,))
async def join(visit: Visit) -> str:
    """A participant, and a ticket for signaling."""
    joined = body(await visit.post(f"/api/v1/{visit.meeting}:join", {}))
    text_of(joined, "ticket")
    visit.participant = text_of(joined, "participant.name")
    return text_of(joined, "signaling_url")


async def _state(visit: Visit) -> object:
    """Find the visitor in the list of participants; None when they are not in it."""
    everybody = {"show_left": "true"}  # else only those who are connected
    answer = await visit.get(f"/api/v1/{visit.meeting}/participants", params=everybody)
    listed = objects(body(answer), "participants")
    return next((it.get("state") for it in listed if it.get("name") == visit.participant), None)


@case("meeting", "participants", needs=(join,))
async def participants(visit: Visit) -> str:
    """The visitor is among them."""
    state = await _state(visit)
    check(state == "PARTICIPANT_STATE_JOINING", f"the visitor's state is {state}")
    return str(state)


@case("meeting", "leave", needs=(join,))
async def leave(visit: Visit) -> str:
    """The participant has left afterwards."""
    body(await visit.post(f"/api/v1/{visit.meeting}:leave", {}))
    state = await _state(visit)
    check(state == "PARTICIPANT_STATE_LEFT", f"the visitor's state is {state}")
    return str(state)


@case("meeting", "end", needs=(create,))
async def end(visit: Visit) -> str:
    """It is over, and says so."""
    state = text_of(body(await visit.post(f"/api/v1/{visit.meeting}:end", {})), "state")
    check(state == "MEETING_STATE_ENDED", f"the state is {state}")
    return state


@case("meeting", "nobody joins what is over", needs=(end,))
async def join_late(visit: Visit) -> str:
    """The refusal says why."""
    return refused(await visit.post(f"/api/v1/{visit.meeting}:join", {}), 400, "MEETING_ENDED")
