"""The live side of a meeting, over the WebSocket."""

from __future__ import annotations

from loadtest.client.answers import body, check, objects, read, text_of
from loadtest.client.cases import Failed, case
from loadtest.client.conversation import Conversation
from loadtest.client.meeting import new_meeting
from loadtest.client.user import register
from loadtest.client.visit import Visit

TICKET_INVALID = (4016, "TICKET_INVALID")
OVER = 1000


def _conversation(visit: Visit) -> Conversation:
    if visit.conversation is None:
        raise Failed("there is no conversation any more")
    return visit.conversation


@case("signaling", "a bad ticket is refused")
async def bad_ticket(visit: Visit) -> str:
    """The close code and text say so."""
    stranger = await Conversation.open(visit.gateway)
    try:
        await stranger.say("join", ticket="not.a.ticket")
        end = await stranger.closed()
    finally:
        await stranger.close()
    check(end == TICKET_INVALID, f"closed with {end}, not {TICKET_INVALID}")
    return f"closed with {end[0]} {end[1]}"


@case("signaling", "a meeting gives a ticket", needs=(register,))
async def ticket(visit: Visit) -> str:
    """One of its own, since the other is over."""
    meeting = await new_meeting(visit)
    joined = body(await visit.post(f"/api/v1/{meeting}:join", {}))
    visit.ticket = text_of(joined, "ticket")
    visit.participant = text_of(joined, "participant.name")
    return meeting


@case("signaling", "join: joined comes", needs=(ticket,))
async def join(visit: Visit) -> str:
    """It names the visitor, and all who are there."""
    visit.conversation = await Conversation.open(visit.gateway)
    joined = await visit.conversation.ask("join", "joined", ticket=visit.ticket)
    text_of(joined, "joined.session_token")
    check(text_of(joined, "joined.participant.name") == visit.participant, "for somebody else")
    found = objects(joined, "joined.participants")
    check(visit.participant in [each.get("name") for each in found], "the visitor is not there")
    return f"sequence {read(joined, 'sequence', str)}"


@case("signaling", "ping: pong comes", needs=(join,))
async def ping(visit: Visit) -> str:
    """The heartbeat."""
    await _conversation(visit).ask("ping", "pong")
    return ""


@case("signaling", "raise a hand: accepted comes", needs=(join,))
async def hand(visit: Visit) -> str:
    """What has no answer of its own is accepted."""
    said = await _conversation(visit).ask("set_hand_raised", "accepted", raised=True)
    return f"sequence {read(said, 'sequence', str)}"


@case("signaling", "leave: it ends well", needs=(join,))
async def leave(visit: Visit) -> str:
    """`disconnected` comes, then the close."""
    conversation = _conversation(visit)
    await conversation.say("leave")
    gone = await conversation.hear("disconnected")
    code, text = await conversation.closed()
    check(code == OVER, f"closed with {code} {text}, not {OVER}")
    return text_of(gone, "disconnected.reason")
