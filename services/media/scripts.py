"""What Redis does in one step for the media workers: Lua, so that no two workers are ever at the head of one room.

Everything lies under `{media}:` (one slot of a Redis Cluster). A node is a hash that runs out with its lease; a room is
a hash whose `holder` is `<node>|<incarnation>`, and counts only while that very incarnation is alive. So a room needs no
lease of its own, and a worker with five hundred rooms beats as cheaply as one with none.

    {media}:nodes            the ids of all nodes, alive or not yet missed
    {media}:node:<id>        a node that is alive; runs out. `relays` is set where it knows how to share a room
    {media}:held:<id>        the rooms of which a node holds all or a part: who finds it dead tells their clients
    {media}:spread:<id>      those of them that other nodes hold parts of as well
    {media}:taken:<id>       rooms that go on without this node, since it was found dead: it must not come back to them
    {media}:room:<name>      holder; while it moves also `from` (the old holder's address) and `until` (milliseconds);
                             `branch:<id>` → incarnation, for each other node that holds a part; `left:<address>` →
                             until, for each that has let its part go but whose paths are still up
    {media}:people:<name>    who is in a room: participant → the node that they were admitted to
    {media}:seats:<name>     participant → the node at which they have been placed
"""

from __future__ import annotations

from services.media.prelude import PRELUDE

# ARGV: id, incarnation, lease (ms), whether to judge others, then the node's fields and values.
# Returns whether the lease had run out; the rooms of those who are dead, each with the people to be told, or none for
# everybody; the rooms that are shared with others, each with whether this node is at its head, and those others; and
# those of which this node had a part until a node that knows of no parts has judged one.
# What was placed here and has not come yet counts for less at every beat.
BEAT = (
    PRELUDE
    + """
local key = P .. 'node:' .. ARGV[1]
local before = redis.call('HMGET', key, 'incarnation', 'placed')
redis.call('HSET', key, 'incarnation', ARGV[2], 'placed', math.floor(0.7 * tonumber(before[2] or 0)), unpack(ARGV, 5))
redis.call('PEXPIRE', key, ARGV[3])
redis.call('SADD', P .. 'nodes', ARGV[1])
local orphans = {}
if ARGV[4] == '1' then
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
    if redis.call('EXISTS', P .. 'node:' .. id) == 0 then
      for _, it in ipairs(claim(id)) do table.insert(orphans, it) end
    end
  end
end
local shared, cut_off = spread(ARGV[1])
return {before[1] == ARGV[2] and 0 or 1, orphans, shared, cut_off}
"""
)

# ARGV: id, incarnation, then rooms, each with whether it was shared with others.
# Takes back those that nobody else has by now, and parts of those that others still have and share; returns the rest.
RECLAIM = (
    PRELUDE
    + """
local id, incarnation = ARGV[1], ARGV[2]
local mine, lost = id .. '|' .. incarnation, {}
for i = 3, #ARGV, 2 do
  local room = ARGV[i]
  local held = redis.call('HGET', P .. 'room:' .. room, 'holder')
  local function lose()
    redis.call('SREM', P .. 'spread:' .. id, room)
    table.insert(lost, room)
  end
  if redis.call('SREM', P .. 'taken:' .. id, room) == 1 then
    lose()
  elseif not held or held == mine then
    redis.call('HSET', P .. 'room:' .. room, 'holder', mine)
    redis.call('SADD', P .. 'held:' .. id, room)
  elseif ARGV[i + 1] == '1' and not strangers()[string.match(held, '^(.*)|')] then
    branch(room, {[2] = incarnation, [9] = id}, parts(room))
  else
    lose()
  end
end
return lost
"""
)

# ARGV: id. Returns what an earlier incarnation of this node held, as BEAT has it.
REJOIN = PRELUDE + "return claim(ARGV[1])"

# ARGV: room, participant or ''. Returns the node where that participant is, or which is at the room's head, whether it
# is that, and addresses of nodes that have let their part go but whose paths are still up; nothing when nobody has it.
HOLDER = (
    PRELUDE
    + """
local all = parts(ARGV[1])
if not all[1] then return nil end
local it = at(ARGV[1], ARGV[2], all) or all[1]
return {it, it == all[1] and 1 or 0, old(ARGV[1])}
"""
)

# ARGV: room. Returns the nodes that hold parts of it, the one at its head first.
PARTS = PRELUDE + "return parts(ARGV[1])"

# ARGV: room, participant, two random numbers below 1, stress limit, a person's cost, how many a room may bring, how
# many of a room a node takes.
# As HOLDER, after finding the participant a seat: where they were; else in the first part that has room; else in a new
# one, of a room that was in one piece only when all nodes know relays; else, if they are owed a place, in the first part
# that would have room were its node less busy, or in a new one at such a node; else at the head, which will refuse them.
# A room that nobody has is placed; if it can't be, returns how many nodes could take it, were they less busy.
PLACE = (
    PRELUDE
    + """
local room, who, limit, cost = ARGV[1], ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6])
local all = parts(room)
local it = at(room, who, all)
local is_owed = redis.call('HEXISTS', P .. 'people:' .. room, who) == 1
if all[1] and not it then
  local counts, spare = seated(room), nil
  local taken, unlike = strangers()
  for _, each in ipairs(all) do
    taken[each[9]] = true
    if each[3] ~= '1' and (counts[each[9]] or 0) < tonumber(ARGV[8]) then
      local stress = tonumber(each[4]) + tonumber(each[8] or 0) * cost
      if stress < limit then it = it or each end
      spare = spare or each
    end
  end
  if not it and (unlike == 0 or #all > 1) then
    it = choose(tonumber(ARGV[3]), tonumber(ARGV[4]), limit, cost, taken, is_owed and not spare)
    if it then
      branch(room, it, all)
      redis.call('HINCRBY', P .. 'node:' .. it[9], 'placed', tonumber(ARGV[7]))
    end
  end
  it = it or (is_owed and spare) or all[1]
elseif not it then
  local able
  it, able = choose(tonumber(ARGV[3]), tonumber(ARGV[4]), limit, cost, {}, is_owed)
  if not it then return able end
  redis.call('DEL', P .. 'room:' .. room)
  give(room, it, tonumber(ARGV[7]))
  all = {it}
end
sit(room, who, it)
return {it, it[9] == all[1][9] and 1 or 0, old(room)}
"""
)

# ARGV: room, how many of a room a node takes. Returns how many people it has where every node that stays has as many of
# them as it takes; 0 where one that is too busy, or knows no relays yet, may take more later, or where none stays.
PEOPLED = (
    PRELUDE
    + """
local counts, all = seated(ARGV[1]), 0
for _, id in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
  local it = node(id)
  if it and it[3] ~= '1' then
    if (counts[id] or 0) < tonumber(ARGV[2]) then return 0 end
    all = all + counts[id]
  end
end
return all
"""
)

# ARGV: room, id, incarnation, address, two random numbers, a person's cost, people in it, notice (ms).
# Gives a room of this node's, or its part of one, to others; returns the node at its head from now on, or 0 when there
# is no other, or -1 when it was not this node's.
HAND_OVER = (
    PRELUDE
    + """
local room, id, incarnation = ARGV[1], ARGV[2], ARGV[3]
local key, till = P .. 'room:' .. room, now() + tonumber(ARGV[9])
local it
if redis.call('HGET', key, 'holder') == id .. '|' .. incarnation then
  it = promote(room)
  if not it then
    it = choose(tonumber(ARGV[5]), tonumber(ARGV[6]), 1e9, tonumber(ARGV[7]), {[id] = true}, true)
    if not it then return 0 end
    give(room, it, tonumber(ARGV[8]))
  end
  redis.call('HSET', key, 'from', ARGV[4], 'until', till)
elseif redis.call('HGET', key, 'branch:' .. id) == incarnation then
  it = holder(room)
  if not it or it[9] == id then return 0 end
  redis.call('HSET', key, 'left:' .. ARGV[4], till)
else
  return -1
end
drop(room, id)
return {it, 1, {}}
"""
)

# ARGV: room, id, incarnation, whether it is over here. Gives a room, or this node's part of it, up; one that has moved
# on stays as it is.
RELEASE = (
    PRELUDE
    + """
local room, id, incarnation = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'room:' .. room
local is_home = redis.call('HGET', key, 'holder') == id .. '|' .. incarnation
drop(room, id)
unseat(room, id)
if is_home and not promote(room) then
  redis.call('DEL', key)
  if ARGV[4] == '1' then redis.call('DEL', P .. 'people:' .. room, P .. 'seats:' .. room) end
end
"""
)

# ARGV: id, incarnation. Ends a node; what it still holds is found by the next who looks.
LEAVE = (
    PRELUDE
    + """
local key = P .. 'node:' .. ARGV[1]
if redis.call('HGET', key, 'incarnation') ~= ARGV[2] then return end
redis.call('DEL', key)
if redis.call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then redis.call('SREM', P .. 'nodes', ARGV[1]) end
"""
)

# ARGV: id, incarnation. Ends the lease of a node that is gone; its rooms are found by the next beat. Returns whether it was its.
BURY = (
    PRELUDE
    + """
local key = P .. 'node:' .. ARGV[1]
if redis.call('HGET', key, 'incarnation') ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
"""
)

# Returns all nodes that are alive, by id.
NODES = (
    PRELUDE
    + """
local ids, found = redis.call('SMEMBERS', P .. 'nodes'), {}
table.sort(ids)
for _, id in ipairs(ids) do table.insert(found, node(id) or nil) end
return found
"""
)

__all__ = [
    "BEAT",
    "BURY",
    "HAND_OVER",
    "HOLDER",
    "LEAVE",
    "NODES",
    "PARTS",
    "PEOPLED",
    "PLACE",
    "RECLAIM",
    "REJOIN",
    "RELEASE",
]
