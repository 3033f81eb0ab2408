"""The room event log: one Redis stream per room, whose entry ids are the sequence (`<sequence>-0`).

An entry is for everyone, for one participant (by name) or for one session (`session:<id>`). Beside the stream stands
the room's snapshot (people, tracks, speakers), changed in the same script, so that a snapshot and its sequence always
agree. Everything of a room is under keys with its code in braces, for Redis Cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

LENGTH = 5_000
"""Entries that a room keeps, about; far more than 30 seconds of any room."""
LIFETIME_SECONDS = 24 * 3600
WAKE_CHANNEL = "signaling:wake"
PAGE = 500

# ARGV: length, lifetime, channel, code, then per event: addressee, payload, number of snapshot commands, and per
# command: its name (SET, DEL, CLEAR, SPEAKERS, GONE), its hash (people, tracks) or "", its key, its value.
APPEND = """
local i, last = 5, 0
while i <= #ARGV do
  local to, payload, count = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  i = i + 3
  for _ = 1, count do
    local command, hash, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local target = hash == 'people' and KEYS[3] or KEYS[4]
    if command == 'SET' then redis.call('HSET', target, key, value)
    elseif command == 'DEL' then redis.call('HDEL', target, key)
    elseif command == 'CLEAR' then redis.call('DEL', target)
    elseif command == 'SPEAKERS' then redis.call('SET', KEYS[5], value, 'EX', ARGV[2])
    end
    i = i + 4
  end
  last = redis.call('INCR', KEYS[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], last .. '-0', 't', to, 'm', payload)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return last
"""

JOIN = (
    APPEND.replace("return last\n", "")
    + """
return {last, redis.call('HVALS', KEYS[3]), redis.call('HVALS', KEYS[4]), redis.call('GET', KEYS[5])}
"""
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log. `to` is empty, a participant's name, or `session:<id>`."""

    sequence: int
    to: str
    payload: bytes

    def message(self) -> signaling_pb2.ServerMessage:
        """Read the message, its sequence filled in."""
        message = signaling_pb2.ServerMessage.FromString(self.payload)
        message.sequence = self.sequence
        return message


@dataclass(frozen=True, slots=True)
class Event:
    """A message to append, and for whom."""

    message: signaling_pb2.ServerMessage
    to: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is true of a room at a sequence: serialized Participants, Tracks and SpeakersChanged."""

    sequence: int
    people: Sequence[bytes] = ()
    tracks: Sequence[bytes] = ()
    speakers: bytes = field(default=b"")


class RoomLog:
    """The logs of all rooms."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._append = redis.register_script(APPEND)
        self._join = redis.register_script(JOIN)

    async def append(self, meeting: str, events: Iterable[Event]) -> int:
        """Append events, all or none; returns the last one's sequence."""
        return int(await self._append(keys=_keys(meeting), args=_arguments(meeting, events)))

    async def append_and_read(self, meeting: str, events: Iterable[Event]) -> Snapshot:
        """Append events and read the snapshot as it is after them."""
        last, people, tracks, speakers = await self._join(
            keys=_keys(meeting), args=_arguments(meeting, events)
        )
        return Snapshot(int(last), people, tracks, speakers or b"")

    async def read(self, meeting: str, after: int, limit: int = PAGE) -> list[Entry]:
        """Read what comes after a sequence, at most `limit` entries."""
        rows = await self._redis.xrange(_keys(meeting)[1], f"{after + 1}-0", "+", count=limit)
        return [
            Entry(int(identifier.split(b"-")[0]), fields[b"t"].decode(), fields[b"m"])
            for identifier, fields in rows
        ]

    async def covers(self, meeting: str, cursor: int) -> bool:
        """Tell whether everything after a cursor is still there, and the cursor is not from the future."""
        key, stream = _keys(meeting)[:2]
        last = int(await self._redis.get(key) or 0)
        if not 0 < cursor <= last:
            return False
        oldest = await self._redis.xrange(stream, "-", "+", count=1)
        return cursor == last or (bool(oldest) and int(oldest[0][0].split(b"-")[0]) <= cursor + 1)

    async def tracks_of(self, meeting: str, participant: str) -> list[str]:
        """List the ids of the tracks that a participant publishes."""
        values = await self._redis.hvals(_keys(meeting)[3])
        tracks = [signaling_pb2.Track.FromString(value) for value in values]
        return [track.id for track in tracks if track.participant == participant]

    async def has_person(self, meeting: str, participant: str) -> bool:
        """Tell whether a participant is in the room."""
        return bool(await self._redis.hexists(_keys(meeting)[2], participant))


def _keys(meeting: str) -> list[str]:
    room = f"signaling:{{{meeting.removeprefix('meetings/')}}}"
    return [f"{room}:{name}" for name in ("sequence", "log", "people", "tracks", "speakers")]


def _arguments(meeting: str, events: Iterable[Event]) -> list[bytes | str | int]:
    arguments: list[bytes | str | int] = [LENGTH, LIFETIME_SECONDS, WAKE_CHANNEL, meeting]
    for event in events:
        if not event.message.HasField("time"):
            event.message.time.GetCurrentTime()
        commands = _snapshot_commands(event.message)
        arguments += [event.to, event.message.SerializeToString(), len(commands)]
        for command in commands:
            arguments += command
    return arguments


Command = tuple[str, str, str, bytes]


def _snapshot_commands(message: signaling_pb2.ServerMessage) -> list[Command]:
    """What an event changes in the snapshot."""
    change = _CHANGES.get(str(message.WhichOneof("message")))
    return change(message) if change else []


def _set_track(track: signaling_pb2.Track) -> list[Command]:
    return [("SET", "tracks", track.id, track.SerializeToString())]


_QUIET: Command = ("SPEAKERS", "", "", b"")
_NO_TRACKS: Command = ("CLEAR", "tracks", "", b"")

_CHANGES: dict[str, Callable[[signaling_pb2.ServerMessage], list[Command]]] = {
    "participant_joined": lambda m: [
        (
            "SET",
            "people",
            m.participant_joined.participant.name,
            m.participant_joined.participant.SerializeToString(),
        )
    ],
    "participant_left": lambda m: [("DEL", "people", m.participant_left.participant, b"")],
    "track_published": lambda m: _set_track(m.track_published.track),
    "track_updated": lambda m: _set_track(m.track_updated.track),
    "track_unpublished": lambda m: [("DEL", "tracks", m.track_unpublished.track_id, b"")],
    "speakers_changed": lambda m: [("SPEAKERS", "", "", m.speakers_changed.SerializeToString())],
    "media_reset": lambda _: [_NO_TRACKS, _QUIET],
    "meeting_ended": lambda _: [("CLEAR", "people", "", b""), _NO_TRACKS, _QUIET],
}
