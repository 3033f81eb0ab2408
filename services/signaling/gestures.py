"""What people do beside talking, and only for as long as they are here: reactions, and raised hands in their order.

The order of hands is part of the room's snapshot, changed by the script that tells of it: it outlasts every process.
"""

from __future__ import annotations

import unicodedata

from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis.errors import InvalidArgument
from services.signaling.domain import HOSTS, NotHost, Session, TooManyHands
from services.signaling.log import Event, RoomLog
from services.signaling.sessions import Sessions

MAX_HANDS = 250
SYMBOLS = frozenset({"So", "Sk", "Sm", "Po"})
JOINERS = frozenset({"Mn", "Me", "Cf"})
"""Unicode categories of what emoji are made of, and of what joins or varies them (UTS #51)."""
KEYCAP, VARIATION = "\u20e3", "\ufe0f"
ASCII = 0x7F
DIGITS = frozenset("0123456789#*")


class Gestures:
    """Shows what people do."""

    def __init__(self, log: RoomLog, sessions: Sessions) -> None:
        self._log = log
        self._sessions = sessions

    async def react(self, session: Session, emoji: str) -> None:
        """Show a reaction to everyone. Raises InvalidArgument, RateLimited."""
        if not is_emoji(emoji):
            raise InvalidArgument(fields={"send_reaction.emoji": "it is no emoji"})
        await self._sessions.count_reaction(session)
        reaction = signaling_pb2.Reaction(participant=session.participant, emoji=emoji)
        await self._log.append(session.meeting, [Event(ServerMessage(reaction=reaction))])

    async def set_hand(self, session: Session, participant: str, *, raised: bool) -> None:
        """Raise or lower a hand; again changes nothing. Raises InvalidArgument, NotHost, TooManyHands."""
        whose = participant or session.participant
        if whose != session.participant:
            if raised:
                fields = {"set_hand_raised.participant": "one raises one's own hand alone"}
                raise InvalidArgument(fields=fields)
            if session.role not in HOSTS:
                raise NotHost(participant=whose)
        if raised and await self._log.count_hands(session.meeting) >= MAX_HANDS:
            raise TooManyHands
        await self._log.append(session.meeting, [_raised(whose) if raised else lowered(whose)])


def lowered(participant: str) -> Event:
    """Make the event of a hand that is lowered; it is left out where the hand is not raised."""
    return Event(ServerMessage(hands_changed=signaling_pb2.HandsChanged()), lowers=participant)


def _raised(participant: str) -> Event:
    return Event(ServerMessage(hands_changed=signaling_pb2.HandsChanged()), raises=participant)


def is_emoji(text: str) -> bool:
    """Tell whether a text can be one emoji: symbols, each joined to the one before, or a keycap; no letters, no spaces."""
    if text[:1] in DIGITS and text[1:] in (KEYCAP, VARIATION + KEYCAP):
        return True
    categories = [unicodedata.category(each) for each in text]
    return (
        bool(categories)
        and categories[0] in SYMBOLS
        and ord(text[0]) > ASCII
        and all(each in SYMBOLS | JOINERS for each in categories)
    )


__all__ = ["MAX_HANDS", "Gestures", "is_emoji", "lowered"]
