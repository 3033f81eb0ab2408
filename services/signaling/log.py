"""The room event log: one Redis stream per room, whose entry ids are the sequence (`<sequence>-0`).

An entry is for everyone, for one participant (by name), for one session (`session:<id>`) or for one connection of it
(`session:<id>/<connection>`). Beside the stream stands the room's snapshot (people, tracks, speakers, hands), changed in the
same script, so that a snapshot and its sequence always agree. The log has no gaps: each entry says, or its sequence does,
after which it comes. Everything of a room is under keys with its code in braces, for Redis Cluster.

A Redis that dies may forget its last second. No number is given twice all the same: the first entry that is appended to
another run of Redis jumps ahead, and names the last one that was kept. Whoever has seen no more than that misses nothing;
whoever has seen more has proof of a loss, and breaks the log off.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

from services.signaling.told import Told

LENGTH = 10_000
WINDOW_SECONDS = 120
"""A room keeps entries for so long, and about so many; a client that resumes was away for a quarter of that at most."""
LIFETIME_SECONDS = 3600
"""How long a room is kept after its last event, or after the last process that had connections in it told of it."""
ENDED_LIFETIME_SECONDS = 300
WAKE_CHANNEL = "signaling:wake"
PING_CHANNEL = "signaling:pings"
PAGE = 500

JUMP = 1_000_000
"""How far the sequence jumps when Redis was started anew: farther than any number that the one before can have given."""
REPLAYS = 512
"""How many of a room's latest appends are known again, should they be sent again."""
RECENT_SECONDS = 10.0
RECENT_ROOMS = 4096

# KEYS: sequence, log, people, tracks, speakers, run, done, hands. ARGV: length, window, lifetime, channel, meeting, this append's
# mark, replays, jump, then per event: addressee, payload, number of snapshot commands, and per command its name, hash
# (people, tracks), key and value. DEL of what is not there, and PUT where there is nothing, say nothing new: their event is
# left out. An append whose mark is known has been done: it is not done again. In another run of Redis than the entry
# before, the sequence jumps, and the entry says from where. RAISE of a hand that is up, or of somebody who is not here, and LOWER
# of one that is not, say nothing new either. Their payload has all but the hands as they are then, which are added to it in
# protobuf's wire format: field 41 of a ServerMessage, with names as its field 1.
APPEND = """
local hands = KEYS[8]
local function length(text)
  local n, bytes = #text, ''
  while n >= 128 do
    bytes, n = bytes .. string.char(n % 128 + 128), math.floor(n / 128)
  end
  return bytes .. string.char(n)
end
local function hands_changed()
  local names = {}
  for _, name in ipairs(redis.call('ZRANGE', hands, 0, -1)) do
    table.insert(names, string.char(10) .. length(name) .. name)
  end
  local all = table.concat(names)
  return string.char(202, 2) .. length(all) .. all
end
local now = tonumber(redis.call('TIME')[1])
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local done = redis.call('ZSCORE', KEYS[7], ARGV[6])
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local before = redis.call('HGET', KEYS[6], 'id')
local from = nil
local i = done and #ARGV + 1 or 9
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
    elseif command == 'CLEAR' then redis.call('DEL', ARGV[i + 1] == 'hands' and hands or target)
    elseif command == 'RAISE' then
      is_news = redis.call('HEXISTS', KEYS[3], key) == 1 and redis.call('ZADD', hands, 'NX', last, key) == 1
      if is_news then payload = payload .. hands_changed() end
    elseif command == 'LOWER' then
      is_news = redis.call('ZREM', hands, key) == 1
      if is_news then payload = payload .. hands_changed() end
    elseif command == 'SPEAKERS' then redis.call('SET', KEYS[5], value)
    end
    i = i + 4
  end
  if is_news then
    local entry = {'t', to, 'm', payload, 's', now}
    if before ~= run then
      if before and last > 0 then
        table.insert(entry, 'p')
        table.insert(entry, last)
        last = last + tonumber(ARGV[8])
      end
      redis.call('HSET', KEYS[6], 'id', run)
      before = run
    end
    last = last + 1
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], string.format('%.0f-0', last), unpack(entry))
  end
end
if not done then
  redis.call('SET', KEYS[1], string.format('%.0f', last))
  redis.call('ZADD', KEYS[7], last, ARGV[6])
  redis.call('ZREMRANGEBYRANK', KEYS[7], 0, -1 - ARGV[7])
end
for _, row in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 16)) do
  if tonumber(row[2][6]) >= now - tonumber(ARGV[2]) then break end
  redis.call('XDEL', KEYS[2], row[1])
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
"""

APPEND_ONLY = APPEND + "return done and tonumber(done) or last"
APPEND_AND_READ = (
    APPEND
    + """
return {last, redis.call('HVALS', KEYS[3]), redis.call('HVALS', KEYS[4]), redis.call('GET', KEYS[5]),
        redis.call('ZRANGE', hands, 0, -1)}
"""
)

# KEYS: as above. ARGV: a sequence that was given, jump, lifetime, channel, meeting, payload of the entry that tells of it.
BREAK_IF_LOST = """
local seen, last = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or 0)
if seen == 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[6], 'broken') or 0) > seen then return 0 end
if seen <= last then
  local id = string.format('%.0f-0', seen)
  if #redis.call('XRANGE', KEYS[2], id, id) == 1 then return 0 end
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if first and tonumber(string.match(first[1], '^%d+')) > seen then return 0 end
end
last = math.max(last, seen) + tonumber(ARGV[2])
local text = string.format('%.0f', last)
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[8])
redis.call('SET', KEYS[1], text)
redis.call('HSET', KEYS[6], 'broken', text, 'id', string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'))
redis.call('XADD', KEYS[2], text .. '-0', 't', '', 'm', ARGV[6], 's', redis.call('TIME')[1], 'p', -1)
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return last
"""


@dataclass(frozen=True)
class Entry:
    """An entry of the log, for `to`; it comes after the entry with the sequence `after`."""

    sequence: int
    to: str
    payload: bytes
    after: int

    @cached_property
    def told(self) -> Told:
        """What it says, its sequence filled in: read once for all whom it is for."""
        message = signaling_pb2.ServerMessage.FromString(self.payload)
        message.sequence = self.sequence
        return Told(message)


@dataclass(frozen=True, slots=True)
class Event:
    """A message to append, and for whom; `raises` and `lowers` name a participant whose hand changes with it."""

    message: signaling_pb2.ServerMessage
    to: str = ""
    raises: str = ""
    lowers: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is true of a room at a sequence: serialized Participants, Tracks and SpeakersChanged; names by raised hands."""

    sequence: int
    people: Sequence[bytes] = ()
    tracks: Sequence[bytes] = ()
    speakers: bytes = field(default=b"")
    hands: Sequence[bytes] = ()


class RoomLog:
    """The logs of all rooms."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._append = redis.register_script(APPEND_ONLY)
        self._append_and_read = redis.register_script(APPEND_AND_READ)
        self._break_if_lost = redis.register_script(BREAK_IF_LOST)
        self._given: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._doubtful: dict[str, int] = {}

    async def append(self, meeting: str, events: Iterable[Event], mark: str = "") -> int:
        """Append events, all or none; returns the room's last sequence.

        An event that takes away what is not there, or changes it, is left out. What has been appended with the same `mark`
        is not appended again, as long as it is among the room's latest.
        """
        arguments = _arguments(meeting, events, mark)
        return self._gave(meeting, int(await self._append(keys=_keys(meeting), args=arguments)))

    async def append_and_read(self, meeting: str, events: Iterable[Event]) -> Snapshot:
        """Append events and read the snapshot as it is after them."""
        last, people, tracks, speakers, hands = await self._append_and_read(
            keys=_keys(meeting), args=_arguments(meeting, events, "")
        )
        sequence = self._gave(meeting, int(last))
        return Snapshot(sequence, people, tracks, speakers or b"", hands)

    async def break_if_lost(self, meeting: str, seen: int) -> bool:
        """See that a sequence that was given is still there; else break the room's log off: no cursor reaches across.

        That empties the room's snapshot: everybody who is there builds their state anew, and tells of themselves again.
        Returns whether the log was broken off.
        """
        reset = signaling_pb2.ServerMessage(media_reset=signaling_pb2.MediaReset())
        reset.time.GetCurrentTime()
        payload = reset.SerializeToString()
        arguments: list[bytes | str | int] = [
            seen,
            JUMP,
            LIFETIME_SECONDS,
            WAKE_CHANNEL,
            meeting,
            payload,
        ]
        return bool(await self._break_if_lost(keys=_keys(meeting), args=arguments))

    def lately_given(self) -> dict[str, int]:
        """Give the last sequences of rooms to which this process has appended, up to RECENT_SECONDS before its last append.

        Where Redis has been started anew since, it is the last one from before that, once.
        """
        if not self._given:
            return {}
        doubtful, self._doubtful = self._doubtful, {}
        newest = next(reversed(self._given.values()))[1]
        return {
            meeting: sequence
            for meeting, (sequence, at) in self._given.items()
            if at >= newest - RECENT_SECONDS
        } | doubtful

    def _gave(self, meeting: str, sequence: int) -> int:
        before = self._given.pop(meeting, (0, 0.0))[0]
        if before and sequence - before >= JUMP:
            self._doubtful[meeting] = before
        self._given[meeting] = (max(before, sequence), time.monotonic())
        if len(self._given) > RECENT_ROOMS:
            self._given.popitem(last=False)
        return sequence

    async def read(self, meeting: str, after: int, limit: int = PAGE) -> list[Entry]:
        """Read what comes after a sequence, at most `limit` entries."""
        rows = await self._redis.xrange(
            _keys(meeting)[1], f"{after + 1}-0", "+", count=min(limit, PAGE)
        )
        return [_entry(int(identifier.split(b"-")[0]), fields) for identifier, fields in rows]

    async def covers(self, meeting: str, cursor: int) -> bool:
        """Tell whether everything after a cursor is still there, and the cursor is not from the future."""
        last = await self.last(meeting)
        broken = int(await self._redis.hget(_keys(meeting)[5], "broken") or 0)
        if not 0 < cursor <= last or cursor < broken:
            return False
        following = await self.read(meeting, cursor, 1)
        return cursor == last or (bool(following) and following[0].after == cursor)

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

    async def count_hands(self, meeting: str) -> int:
        """Count the hands that are raised in a room."""
        return int(await self._redis.zcard(_keys(meeting)[-1]))

    async def tracks_of(self, meeting: str, participant: str) -> list[str]:
        """List the ids of the tracks that a participant publishes."""
        values = await self._redis.hvals(_keys(meeting)[3])
        tracks = [signaling_pb2.Track.FromString(value) for value in values]
        return [track.id for track in tracks if track.participant == participant]


_NAMES = ("sequence", "log", "people", "tracks", "speakers", "run", "done", "hands")


def _keys(meeting: str) -> list[str]:
    room = f"signaling:{{{meeting.removeprefix('meetings/')}}}"
    return [f"{room}:{name}" for name in _NAMES]


def is_unbroken(position: int, entries: Iterable[Entry]) -> bool:
    """Tell whether entries follow a position without a gap."""
    for entry in entries:
        if entry.after != position:
            return False
        position = entry.sequence
    return True


def _entry(sequence: int, fields: Mapping[bytes, bytes]) -> Entry:
    after = int(fields.get(b"p", sequence - 1))
    return Entry(sequence, fields[b"t"].decode(), fields[b"m"], after)


def _arguments(meeting: str, events: Iterable[Event], mark: str) -> list[bytes | str | int]:
    events = list(events)
    is_end = any(event.message.HasField("meeting_ended") for event in events)
    lifetime = ENDED_LIFETIME_SECONDS if is_end else LIFETIME_SECONDS
    arguments: list[bytes | str | int] = [LENGTH, WINDOW_SECONDS, lifetime, WAKE_CHANNEL, meeting]
    arguments += [mark or secrets.token_hex(8), REPLAYS, JUMP]
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
    if hand := event.raises or event.lowers:
        return [("RAISE" if event.raises else "LOWER", "hands", hand, b"")]
    change = _CHANGES.get(str(message.WhichOneof("message")))
    return change(message) if change else []


def _track(command: str, track: signaling_pb2.Track) -> list[Command]:
    return [(command, "tracks", track.id, track.SerializeToString())]


_QUIET: Command = ("SPEAKERS", "", "", b"")
_NO_TRACKS: Command = ("CLEAR", "tracks", "", b"")
_NO_HANDS: Command = ("CLEAR", "hands", "", b"")

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
    "meeting_ended": lambda _: [("CLEAR", "people", "", b""), _NO_TRACKS, _QUIET, _NO_HANDS],
}
