"""What Redis does in one step for the media workers: Lua, so that no two workers ever hold one room.

Everything lies under `{media}:` (one slot of a Redis Cluster). A node is a hash that runs out with its lease; a room is
a hash whose `holder` is `<node>|<incarnation>`, and counts only while that very incarnation is alive. So a room needs no
lease of its own, and a worker with five hundred rooms beats as cheaply as one with none.

    {media}:nodes            the ids of all nodes, alive or not yet missed
    {media}:node:<id>        a node that is alive; runs out
    {media}:held:<id>        the rooms that a node holds: who finds it dead tells their clients
    {media}:room:<name>      holder; while it moves also `from` (the old holder's address) and `until` (milliseconds)
    {media}:people:<name>    who is in a room: participant → the node that they were admitted to
"""

from __future__ import annotations

_PRELUDE = """
local P = '{media}:'
local FIELDS = {'address', 'incarnation', 'draining', 'stress', 'rooms', 'peers', 'started', 'placed'}
local function node(id)
  local fields = redis.call('HMGET', P .. 'node:' .. id, unpack(FIELDS))
  if not fields[2] then return nil end
  fields[9] = id
  return fields
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function holder(room)
  local held = redis.call('HGET', P .. 'room:' .. room, 'holder')
  if not held then return nil end
  local id, incarnation = string.match(held, '^(.*)|(.*)$')
  local found = node(id)
  if found and found[2] == incarnation then return found end
  return nil
end
local function choose(first, second, limit, cost, except, is_owed)
  local ids = redis.call('SMEMBERS', P .. 'nodes')
  table.sort(ids)
  local able, fit = {}, {}
  for _, id in ipairs(ids) do
    local it = node(id)
    if it and it[3] ~= '1' and id ~= except then
      local candidate = {it, tonumber(it[4]) + tonumber(it[8] or 0) * cost}
      table.insert(able, candidate)
      if candidate[2] < limit then table.insert(fit, candidate) end
    end
  end
  local from = fit
  if #fit == 0 and is_owed then from = able end
  if #from == 0 then return nil, #able end
  local one = table.remove(from, 1 + math.floor(first * #from))
  local other = #from > 0 and from[1 + math.floor(second * #from)] or one
  if other[2] < one[2] then one = other end
  return one[1], #able
end
local function give(room, it, people)
  redis.call('HSET', P .. 'room:' .. room, 'holder', it[9] .. '|' .. it[2])
  redis.call('SADD', P .. 'held:' .. it[9], room)
  redis.call('HINCRBY', P .. 'node:' .. it[9], 'placed', people)
end
local function claim(id)
  local rooms = redis.call('SMEMBERS', P .. 'held:' .. id)
  for _, room in ipairs(rooms) do
    local held = redis.call('HGET', P .. 'room:' .. room, 'holder')
    if held and string.match(held, '^(.*)|') == id then redis.call('DEL', P .. 'room:' .. room) end
  end
  redis.call('DEL', P .. 'held:' .. id)
  redis.call('SREM', P .. 'nodes', id)
  return rooms
end
"""

# ARGV: id, incarnation, lease (ms), whether to judge others, then the node's fields and values.
# Returns whether the lease had run out, and the rooms of those who are dead: their clients must be told.
# What was placed here and has not come yet counts for less at every beat.
BEAT = (
    _PRELUDE
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
      for _, room in ipairs(claim(id)) do table.insert(orphans, room) end
    end
  end
end
return {before[1] == ARGV[2] and 0 or 1, orphans}
"""
)

# ARGV: id, incarnation, then rooms. Takes back those that nobody else has by now; returns the others.
RECLAIM = (
    _PRELUDE
    + """
local mine, lost = ARGV[1] .. '|' .. ARGV[2], {}
for i = 3, #ARGV do
  local held = redis.call('HGET', P .. 'room:' .. ARGV[i], 'holder')
  if held and held ~= mine then
    table.insert(lost, ARGV[i])
  else
    redis.call('HSET', P .. 'room:' .. ARGV[i], 'holder', mine)
    redis.call('SADD', P .. 'held:' .. ARGV[1], ARGV[i])
  end
end
return lost
"""
)

# ARGV: id. Returns what an earlier incarnation of this node held.
REJOIN = _PRELUDE + "return claim(ARGV[1])"

# ARGV: room. Returns its holder and, while it moves, where its old path is; nothing when nobody holds it.
HOLDER = (
    _PRELUDE
    + """
local it = holder(ARGV[1])
if not it then return nil end
local moved = redis.call('HMGET', P .. 'room:' .. ARGV[1], 'from', 'until')
local is_moving = moved[1] and tonumber(moved[2]) > now()
return {it, is_moving and moved[1] or ''}
"""
)

# ARGV: room, participant, two random numbers below 1, stress limit, a person's cost, how many a room may bring.
# As HOLDER, of a room that is placed if nobody holds it; else how many nodes could take it, were they less busy.
PLACE = (
    _PRELUDE
    + """
local it = holder(ARGV[1])
local from = ''
if it then
  local moved = redis.call('HMGET', P .. 'room:' .. ARGV[1], 'from', 'until')
  if moved[1] and tonumber(moved[2]) > now() then from = moved[1] end
else
  local is_owed = redis.call('HEXISTS', P .. 'people:' .. ARGV[1], ARGV[2]) == 1
  local able
  it, able = choose(tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), '', is_owed)
  if not it then return able end
  redis.call('DEL', P .. 'room:' .. ARGV[1])
  give(ARGV[1], it, tonumber(ARGV[7]))
end
return {it, from}
"""
)

# ARGV: room, id, incarnation, address, two random numbers, a person's cost, people in it, notice (ms).
# Gives a room of this node's to another; returns that, or 0 when there is none, or -1 when it was not this node's.
HAND_OVER = (
    _PRELUDE
    + """
local key = P .. 'room:' .. ARGV[1]
if redis.call('HGET', key, 'holder') ~= ARGV[2] .. '|' .. ARGV[3] then return -1 end
local it = choose(tonumber(ARGV[5]), tonumber(ARGV[6]), 1e9, tonumber(ARGV[7]), ARGV[2], true)
if not it then return 0 end
give(ARGV[1], it, tonumber(ARGV[8]))
redis.call('SREM', P .. 'held:' .. ARGV[2], ARGV[1])
redis.call('HSET', key, 'from', ARGV[4], 'until', now() + tonumber(ARGV[9]))
return {it, ''}
"""
)

# ARGV: room, id, incarnation, whether it is over. Gives a room up; one that has moved on stays as it is.
RELEASE = (
    _PRELUDE
    + """
local key = P .. 'room:' .. ARGV[1]
redis.call('SREM', P .. 'held:' .. ARGV[2], ARGV[1])
if redis.call('HGET', key, 'holder') == ARGV[2] .. '|' .. ARGV[3] then
  redis.call('DEL', key)
  if ARGV[4] == '1' then redis.call('DEL', P .. 'people:' .. ARGV[1]) end
end
"""
)

# ARGV: id, incarnation. Ends a node; what it still holds is found by the next who looks.
LEAVE = (
    _PRELUDE
    + """
local key = P .. 'node:' .. ARGV[1]
if redis.call('HGET', key, 'incarnation') ~= ARGV[2] then return end
redis.call('DEL', key)
if redis.call('EXISTS', P .. 'held:' .. ARGV[1]) == 0 then redis.call('SREM', P .. 'nodes', ARGV[1]) end
"""
)

# ARGV: id, incarnation. Ends the lease of a node that is gone; its rooms are found by the next beat. Returns whether it was its.
BURY = (
    _PRELUDE
    + """
local key = P .. 'node:' .. ARGV[1]
if redis.call('HGET', key, 'incarnation') ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
"""
)

# Returns all nodes that are alive, by id.
NODES = (
    _PRELUDE
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
    "PLACE",
    "RECLAIM",
    "REJOIN",
    "RELEASE",
]
