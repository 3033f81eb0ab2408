"""The room event log: one Redis stream per room, whose entry ids are the sequence (`<sequence>-0`).

An entry is for everyone, for one participant (by name), for one session (`session:<id>`) or for one connection of it
(`session:<id>/<connection>`). Beside the stream stands the room's snapshot (people, tracks, speakers), changed in the
same script, so that a snapshot and its sequence always agree. The log has no gaps: what is left of it is a run of
sequences. Everything of a room is under keys with its code in braces, for Redis Cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

LENGTH = 10_000
WINDOW_SECONDS = 120
"""A room keeps entries for so long, and about so many; a client that resumes was away for a quarter of that at most."""
LIFETIME_SECONDS = 3600
"""How long a room is kept after its last event, or after the last process that had connections in it told of it."""
ENDED_LIFETIME_SECONDS = 300
WAKE_CHANNEL = "signaling:wake"
PAGE = 500

# KEYS: sequence, log, people, tracks, speakers. ARGV: length, window, lifetime, channel, meeting, then per event:
# addressee, payload, number of snapshot commands, and per command its name, hash (people, tracks), key and value.
# DEL of what is not there, and PUT where there is nothing, say nothing new: their event is left out.
APPEND = """
local now = tonumber(redis.call('TIME')[1])
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local i = 6
while i <= #ARGV do
  local to, payload, count, is_news = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), true
  i = i + 3
  for _ = 1, count do
    local command, key, value = ARGV[i], ARGV[i + 2], ARGV[i + 3]
    local target = ARGV[i + 1] == 'people' and KEYS[3] or KEYS[4]
    if command == 'SET' then redis.call('HSET', target, key, value)
    elseif command == 'PUT' then
      is_news = redis.call('HEXISTS', target, key) == 1
      if is_news then redis.call('HSET', target, key, value) end
    elseif command == 'DEL' then is_news = redis.call('HDEL', target, key) == 1
    elseif command == 'CLEAR' then redis.call('DEL', target)
    elseif command == 'SPEAKERS' then redis.call('SET', KEYS[5], value)
    end
    i = i + 4
  end
  if is_news then
    last = redis.call('INCR', KEYS[1])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], last .. '-0', 't', to, 'm', payload, 's', now)
  end
end
for _, row in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 16)) do
  if tonumber(row[2][6]) >= now - tonumber(ARGV[2]) then break end
  redis.call('XDEL', KEYS[2], row[1])
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
"""

APPEND_ONLY = APPEND + "return last"
APPEND_AND_READ = (
    APPEND
    + """
return {last, redis.call('HVALS', KEYS[3]), redis.call('HVALS', KEYS[4]), redis.call('GET', KEYS[5])}
"""
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log, for `to`."""

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
        self._append = redis.register_script(APPEND_ONLY)
        self._append_and_read = redis.register_script(APPEND_AND_READ)

    async def append(self, meeting: str, events: Iterable[Event]) -> int:
        """Append events, all or none; returns the room's last sequence.

        An event that takes away what is not there, or changes it, is left out.
        """
        return int(await self._append(keys=_keys(meeting), args=_arguments(meeting, events)))

    async def append_and_read(self, meeting: str, events: Iterable[Event]) -> Snapshot:
        """Append events and read the snapshot as it is after them."""
        last, people, tracks, speakers = await self._append_and_read(
            keys=_keys(meeting), args=_arguments(meeting, events)
        )
        return Snapshot(int(last), people, tracks, speakers or b"")

    async def read(self, meeting: str, after: int, limit: int = PAGE) -> list[Entry]:
        """Read what comes after a sequence, at most `limit` entries."""
        rows = await self._redis.xrange(
            _keys(meeting)[1], f"{after + 1}-0", "+", count=min(limit, PAGE)
        )
        return [
            Entry(int(identifier.split(b"-")[0]), fields[b"t"].decode(), fields[b"m"])
            for identifier, fields in rows
        ]

    async def covers(self, meeting: str, cursor: int) -> bool:
        """Tell whether everything after a cursor is still there, and the cursor is not from the future."""
        last = await self.last(meeting)
        if not 0 < cursor <= last:
            return False
        following = await self.read(meeting, cursor, 1)
        return cursor == last or (bool(following) and following[0].sequence == cursor + 1)

    async def last(self, meeting: str) -> int:
        """Get a room's last sequence; 0 where there is no such room."""
        return int(await self._redis.get(_keys(meeting)[0]) or 0)

    async def touch(self, meeting: str) -> None:
        """Keep a room in which nothing is said, as long as somebody is connected."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for key in _keys(meeting):
                pipe.expire(key, LIFETIME_SECONDS)
            await pipe.execute()

    async def count_people(self, meeting: str) -> int:
        """Count who is in a room."""
        return int(await self._redis.hlen(_keys(meeting)[2]))

    async def tracks_of(self, meeting: str, participant: str) -> list[str]:
        """List the ids of the tracks that a participant publishes."""
        values = await self._redis.hvals(_keys(meeting)[3])
        tracks = [signaling_pb2.Track.FromString(value) for value in values]
        return [track.id for track in tracks if track.participant == participant]


def _keys(meeting: str) -> list[str]:
    room = f"signaling:{{{meeting.removeprefix('meetings/')}}}"
    return [f"{room}:{name}" for name in ("sequence", "log", "people", "tracks", "speakers")]


def _arguments(meeting: str, events: Iterable[Event]) -> list[bytes | str | int]:
    events = list(events)
    is_end = any(event.message.HasField("meeting_ended") for event in events)
    lifetime = ENDED_LIFETIME_SECONDS if is_end else LIFETIME_SECONDS
    arguments: list[bytes | str | int] = [LENGTH, WINDOW_SECONDS, lifetime, WAKE_CHANNEL, meeting]
    for event in events:
        if not event.message.HasField("time"):
            event.message.time.GetCurrentTime()
        commands = _snapshot_commands(event)
        arguments += [event.to, event.message.SerializeToString(), len(commands)]
        for command in commands:
            arguments += command
    return arguments


Command = tuple[str, str, str, bytes]


def _snapshot_commands(event: Event) -> list[Command]:
    """What an event changes in the snapshot: nothing when it is not for everyone."""
    message = event.message
    if event.to:
        return []
    change = _CHANGES.get(str(message.WhichOneof("message")))
    return change(message) if change else []


def _track(command: str, track: signaling_pb2.Track) -> list[Command]:
    return [(command, "tracks", track.id, track.SerializeToString())]


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
    "participant_updated": lambda m: [
        (
            "PUT",
            "people",
            m.participant_updated.participant.name,
            m.participant_updated.participant.SerializeToString(),
        )
    ],
    "participant_left": lambda m: [("DEL", "people", m.participant_left.participant, b"")],
    "track_published": lambda m: _track("SET", m.track_published.track),
    "track_updated": lambda m: _track("PUT", m.track_updated.track),
    "track_unpublished": lambda m: [("DEL", "tracks", m.track_unpublished.track_id, b"")],
    "speakers_changed": lambda m: [("SPEAKERS", "", "", m.speakers_changed.SerializeToString())],
    "media_reset": lambda _: [_NO_TRACKS, _QUIET],
    "meeting_ended": lambda _: [("CLEAR", "people", "", b""), _NO_TRACKS, _QUIET],
}
