import { FENCE } from './fence.ts'

/**
 * The request of every node, once a second, which also works if memory is full: a new epoch if one is due, the end of
 * the log on the node's own channel, a sample of the time, and the next 100 names of a walk through the index that all
 * nodes share. `ARGV`: 1–5 as in `FENCE`, 6 the node, 7 the time that names are remembered, 8 whether to forget nodes
 * that are gone.
 *
 * The answer: epoch, end of the log, then names.
 */
export const PROBE = `#!lua flags=allow-oom
${FENCE}
local remember = tonumber(ARGV[7])
local state = redis.call('HMGET', KEYS[1], 'w', 'a')
local walk, sampled = tonumber(state[1] or 0), tonumber(state[2] or -1)
if last > 0 and (sampled < 0 or now - sampled >= remember / 512) then
  sampled = now
  redis.call('ZADD', p .. 't', 'NX', text(now), text(last))
  redis.call('ZREMRANGEBYRANK', p .. 't', 0, -1025)
end
local slice = redis.call('ZRANGEBYSCORE', p .. 'i', '(' .. text(walk), '+inf', 'WITHSCORES', 'LIMIT', 0, 100)
walk = #slice == 200 and tonumber(slice[200]) or 0
redis.call('HSET', KEYS[1], 't', text(now), 'w', text(walk), 'a', text(sampled))
if ARGV[8] == '1' then
  local nodes = redis.call('HGETALL', p .. 'n')
  for i = 1, #nodes, 2 do
    local time = tonumber(string.match(nodes[i + 1], '^%d+ (%d+)'))
    if now - time > 600000 then redis.call('HDEL', p .. 'n', nodes[i]) end
  end
end
redis.call('PUBLISH', p .. 'h:' .. ARGV[6], epoch .. ' ' .. text(last))
local reply = { epoch, last }
for i = 1, #slice, 2 do reply[#reply + 1] = slice[i] end
return reply
`

/**
 * Drops expired events of quiet channels, and forgets names. `ARGV`: 1–5 as in `FENCE`, 6 the time that names are
 * remembered, then names, each with the maximum age and number of its events. It drops at most 1,000 events, so that no
 * other client waits long for it.
 */
export const TRIM = `#!lua flags=allow-oom
${FENCE}
local before, left = bytes, 1000
-- All events up to here are older than names are remembered.
local forgotten = redis.call('ZREVRANGEBYSCORE', p .. 't', '(' .. text(now - tonumber(ARGV[6])), '-inf', 'LIMIT', 0, 1)
local oldest = tonumber(forgotten[1] or -1)
local function drop(key, count)
  local gone = redis.call('LPOP', key, count)
  for i = 1, #gone do bytes = bytes - #gone[i] end
  left = left - #gone
end
for i = 7, #ARGV, 3 do
  local name, key = ARGV[i], p .. 'c:' .. ARGV[i]
  local over = redis.call('LLEN', key) - tonumber(ARGV[i + 2])
  if over > 0 and left > 0 then drop(key, math.min(over, left)) end
  local tooOld = ARGV[i + 1] ~= '' and now - tonumber(ARGV[i + 1])
  while tooOld and left > 0 do
    local heads, count = redis.call('LRANGE', key, 0, 31), 0
    for j = 1, #heads do
      if tonumber(string.match(heads[j], '^%d+ %d+ (%d+) ')) >= tooOld then break end
      count = j
    end
    if count == 0 then break end
    drop(key, math.min(count, left))
    if count < #heads then break end
  end
  local score = tonumber(redis.call('ZSCORE', p .. 'i', name) or nil)
  if score and score <= oldest and redis.call('EXISTS', key) == 0 then
    floor = math.max(floor, score)
    redis.call('HSET', KEYS[1], 'f', text(floor))
    redis.call('ZREM', p .. 'i', name)
    redis.call('ZREM', p .. 'o', name)
  end
end
if bytes ~= before then redis.call('HSET', KEYS[1], 'b', text(bytes)) end
return 'ok'
`

/**
 * Moves an invalid entry of the ingest stream aside; only one node does it. `ARGV`: the ID of the entry, the reason,
 * then its fields.
 */
export const SET_ASIDE = `#!lua flags=allow-oom
local p = string.sub(KEYS[1], 1, -2)
if redis.call('XDEL', p .. 'in', ARGV[1]) == 0 then return 0 end
redis.call('XADD', p .. 'in:bad', 'MAXLEN', 1000, '*', 'reason', ARGV[2], unpack(ARGV, 3))
return 1
`
