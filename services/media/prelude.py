"""What the scripts of the media workers' placement have in common: Lua; `scripts` says how the keys are laid out.

A node is a list: its fields in the order of FIELDS, then its id. Of a room's `parts` the home is the first. `strangers`
are nodes of a version that knows no relays.
"""

from __future__ import annotations

PRELUDE = """
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
local function alive(id, incarnation)
  local found = node(id)
  if found and found[2] == incarnation then return found end
  return nil
end
local function fields(room)
  local all, found = redis.call('HGETALL', P .. 'room:' .. room), {}
  for i = 1, #all, 2 do found[all[i]] = all[i + 1] end
  return found
end
local function branches(room)
  local found = {}
  for field, incarnation in pairs(fields(room)) do
    local id = string.match(field, '^branch:(.*)$')
    local it = id and alive(id, incarnation)
    if it then table.insert(found, it) end
  end
  table.sort(found, function(a, b) return a[9] < b[9] end)
  return found
end
local function promote(room)
  local best
  for _, it in ipairs(branches(room)) do
    if not best or (best[3] == '1' and it[3] ~= '1') then best = it end
  end
  if not best then return nil end
  redis.call('HSET', P .. 'room:' .. room, 'holder', best[9] .. '|' .. best[2])
  redis.call('HDEL', P .. 'room:' .. room, 'branch:' .. best[9])
  return best
end
local function holder(room)
  local held = redis.call('HGET', P .. 'room:' .. room, 'holder')
  if not held then return nil end
  return alive(string.match(held, '^(.*)|(.*)$')) or promote(room)
end
local function parts(room)
  local home = holder(room)
  if not home then return {} end
  return {home, unpack(branches(room))}
end
local function at(room, who, all)
  local id = redis.call('HGET', P .. 'seats:' .. room, who)
  for _, it in ipairs(all) do
    if it[9] == id then return it end
  end
  return nil
end
local function seated(room)
  local counts = {}
  for _, id in ipairs(redis.call('HVALS', P .. 'seats:' .. room)) do counts[id] = (counts[id] or 0) + 1 end
  return counts
end
local function old(room)
  local found, all = {}, fields(room)
  if all['from'] and tonumber(all['until']) > now() then table.insert(found, all['from']) end
  for field, till in pairs(all) do
    local address = string.match(field, '^left:(.*)$')
    if address and tonumber(till) > now() then table.insert(found, address) end
  end
  return found
end
local function strangers()
  local found, count = {}, 0
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
    local known = redis.call('HMGET', P .. 'node:' .. id, 'incarnation', 'relays')
    if known[1] and not known[2] then found[id], count = true, count + 1 end
  end
  return found, count
end
local function sit(room, who, it)
  redis.call('HSET', P .. 'seats:' .. room, who, it[9])
  redis.call('EXPIRE', P .. 'seats:' .. room, 86400)
end
local function choose(first, second, limit, cost, except, is_owed)
  local ids = redis.call('SMEMBERS', P .. 'nodes')
  table.sort(ids)
  local able, fit = {}, {}
  for _, id in ipairs(ids) do
    local it = node(id)
    if it and it[3] ~= '1' and not except[id] then
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
  redis.call('SREM', P .. 'taken:' .. it[9], room)
  redis.call('HINCRBY', P .. 'node:' .. it[9], 'placed', people)
end
local function branch(room, it, all)
  redis.call('HSET', P .. 'room:' .. room, 'branch:' .. it[9], it[2])
  redis.call('SADD', P .. 'held:' .. it[9], room)
  redis.call('SREM', P .. 'taken:' .. it[9], room)
  redis.call('SADD', P .. 'spread:' .. it[9], room)
  for _, each in ipairs(all) do redis.call('SADD', P .. 'spread:' .. each[9], room) end
end
local function drop(room, id)
  redis.call('SREM', P .. 'held:' .. id, room)
  redis.call('SREM', P .. 'spread:' .. id, room)
  redis.call('HDEL', P .. 'room:' .. room, 'branch:' .. id)
end
local function unseat(room, id)
  local seats, people = redis.call('HGETALL', P .. 'seats:' .. room), {}
  for i = 1, #seats, 2 do
    if seats[i + 1] == id then
      table.insert(people, seats[i])
      redis.call('HDEL', P .. 'seats:' .. room, seats[i])
    end
  end
  table.sort(people)
  return people
end
local function claim(id)
  local found = {}
  for _, room in ipairs(redis.call('SMEMBERS', P .. 'held:' .. id)) do
    local held = redis.call('HGET', P .. 'room:' .. room, 'holder')
    redis.call('HDEL', P .. 'room:' .. room, 'branch:' .. id)
    local goes_on = held and (string.match(held, '^(.*)|') ~= id or promote(room))
    local people = unseat(room, id)
    if goes_on then
      redis.call('SADD', P .. 'taken:' .. id, room)
      redis.call('EXPIRE', P .. 'taken:' .. id, 86400)
      if #people > 0 then table.insert(found, {room, people}) end
    else
      redis.call('DEL', P .. 'room:' .. room)
      table.insert(found, {room, {}})
    end
  end
  redis.call('DEL', P .. 'held:' .. id, P .. 'spread:' .. id)
  redis.call('SREM', P .. 'nodes', id)
  return found
end
local function spread(id)
  local found, cut_off = {}, {}
  for _, room in ipairs(redis.call('SMEMBERS', P .. 'spread:' .. id)) do
    local others, is_home, is_mine = {}, 0, false
    for i, it in ipairs(parts(room)) do
      if it[9] ~= id then
        table.insert(others, it)
      else
        is_mine = true
        if i == 1 then is_home = 1 end
      end
    end
    if not is_mine then
      table.insert(cut_off, room)
    elseif #others == 0 then
      redis.call('SREM', P .. 'spread:' .. id, room)
    else
      table.insert(found, {room, is_home, others})
    end
  end
  return found, cut_off
end
"""

__all__ = ["PRELUDE"]
