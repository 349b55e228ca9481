import { FENCE } from './fence.ts'

/**
 * Appends a batch. It is refused as a whole, before anything is written, if the server is out of memory, a replica, or
 * short of replicas. It first claims (the end of the log, its bytes, the names), then writes, then publishes. So an
 * error in between leaves reported losses, and never events that the index does not know.
 *
 * `ARGV`: 1–5 as in `FENCE`, 6 the node, 7 the number of the batch, 8 `maxBytes`, 9 `maxChannels`, then the number of
 * channels, and for each its name and `maxEvents`; the number of events, and for each its channel and its entry from
 * the kind on; the sizes of the groups; the number of keyed events, and for each its index, scoped key and digest; the
 * number of groups from the ingest stream, and for each its index and the ID of its entry there.
 *
 * The answer: epoch, end of the log before and after it, then a line for each exceptional event or group.
 */
export const APPEND = String.raw`#!lua
local node, number = ARGV[6], tonumber(ARGV[7])
local done = redis.call('HGET', string.sub(KEYS[1], 1, -2) .. 'n', node)
if done then
  -- A number is executed once. A batch without an answer may be executed later than its repetition.
  local before, answer = string.match(done, '^(%d+) %d+ (.*)$')
  if tonumber(before) == number then return answer end
  if tonumber(before) > number then return redis.error_reply('SSE stale batch') end
end
${FENCE}
local maxBytes, maxChannels = tonumber(ARGV[8]), tonumber(ARGV[9])
local base = last
local at = 10

local names, maxEvents, prev, isNew = {}, {}, {}, {}
for i = 1, tonumber(ARGV[at]) do
  local name = ARGV[at + 2 * i - 1]
  names[i] = name
  maxEvents[name] = tonumber(ARGV[at + 2 * i])
end
at = at + 2 * #names + 1
local scores = redis.call('ZMSCORE', p .. 'i', unpack(names))
for i, name in ipairs(names) do
  isNew[name] = not scores[i]
  prev[name] = scores[i] or text(floor)
end

local count, events = tonumber(ARGV[at]), at
at = at + 2 * count + 1

-- The events to append: channel and entry. The number of events to keep, for each channel.
local channels, entries, kept, touched, added = {}, {}, {}, {}, 0
local stamp = ' ' .. text(now) .. ' '
local most = maxBytes / 16
local function add(i)
  local name = ARGV[events + 2 * i - 1]
  last = last + 1
  local seq = text(last)
  local entry = seq .. ' ' .. prev[name] .. stamp .. ARGV[events + 2 * i]
  prev[name] = seq
  added = added + 1
  channels[added] = name
  entries[added] = entry
  local list = kept[name]
  if not list then
    list = {}
    kept[name] = list
    touched[#touched + 1] = name
  end
  if maxEvents[name] > 0 and #entry <= most then list[#list + 1] = entry end
end

local lines, newKeys, taken = {}, {}, {}
if ARGV[at] == '' then
  for i = 1, count do add(i) end
else
  local sizes = ARGV[at]
  at = at + 1
  local keyOf, digestOf, stored, fields = {}, {}, {}, {}
  for i = 1, tonumber(ARGV[at]) do
    local event = tonumber(ARGV[at + 3 * i - 2])
    keyOf[event] = ARGV[at + 3 * i - 1]
    digestOf[event] = ARGV[at + 3 * i]
    fields[i] = keyOf[event]
  end
  at = at + 3 * #fields + 1
  local entryOf = {}
  for i = 1, tonumber(ARGV[at]) do entryOf[tonumber(ARGV[at + 2 * i - 1])] = ARGV[at + 2 * i] end
  if #fields > 0 then
    for _, key in ipairs({ 'k0', 'k1' }) do
      local values = redis.call('HMGET', p .. key, unpack(fields))
      for i, field in ipairs(fields) do
        if values[i] then
          local digest, time, id = string.match(values[i], '^(%S+) (%d+) (.*)$')
          if now - tonumber(time) < 600000 then stored[field] = { digest, id } end
        end
      end
    end
  end
  local group, first = 0, 1
  for size in string.gmatch(sizes, '%d+') do
    group = group + 1
    local stop = first + tonumber(size) - 1
    local own, refused = {}, nil
    for i = first, stop do
      local key = keyOf[i]
      if key then
        local digest = own[key] or (stored[key] and stored[key][1])
        if digest and digest ~= digestOf[i] then
          refused = 'r ' .. (group - 1) .. ' ' .. ARGV[events + 2 * i - 1]
          break
        end
        own[key] = digestOf[i]
      end
    end
    local entry = entryOf[group]
    if entry and not refused then
      if #redis.call('XRANGE', p .. 'in', entry, entry) == 0 then
        refused = 't ' .. (group - 1)
      else
        taken[#taken + 1] = entry
      end
    end
    if refused then
      lines[#lines + 1] = refused
    else
      for i = first, stop do
        local key = keyOf[i]
        if key and stored[key] then
          lines[#lines + 1] = 'd ' .. (i - 1) .. ' ' .. stored[key][2]
        else
          add(i)
          if key then
            local id = epoch .. ' ' .. text(last)
            stored[key] = { digestOf[i], id }
            newKeys[#newKeys + 1] = key
            newKeys[#newKeys + 1] = digestOf[i] .. stamp .. id
          end
        end
      end
    end
    first = stop + 1
  end
end

local answer = epoch .. ' ' .. text(base) .. ' ' .. text(last)
for _, line in ipairs(lines) do answer = answer .. '\n' .. line end
if added == 0 then
  redis.call('HSET', p .. 'n', node, number .. stamp .. answer)
  for _, entry in ipairs(taken) do redis.call('XDEL', p .. 'in', entry) end
  return answer
end

-- Claim.
local index = {}
for i, name in ipairs(touched) do
  index[2 * i - 1] = prev[name]
  index[2 * i] = name
  local list = kept[name]
  if #list > maxEvents[name] then
    local newest = {}
    for j = #list - maxEvents[name] + 1, #list do newest[#newest + 1] = list[j] end
    list = newest
    kept[name] = list
  end
  for j = 1, #list do bytes = bytes + #list[j] end
end
redis.call('HSET', KEYS[1], 's', text(last), 'b', text(bytes), 't', text(now))
redis.call('HSET', p .. 'n', node, number .. stamp .. answer)
redis.call('ZADD', p .. 'i', unpack(index))
redis.call('XADD', p .. 'g', 'MINID', '~', text(math.max(0, last - 200000)), text(last) .. '-0',
  'b', text(base), 'n', table.concat(touched, ' '))

-- Write.
local claimed = bytes
local function dropped(gone)
  for i = 1, #gone do bytes = bytes - #gone[i] end
end
for _, name in ipairs(touched) do
  local list = kept[name]
  local key = p .. 'c:' .. name
  -- A list whose name is unknown is a remainder.
  if isNew[name] then redis.call('UNLINK', key) end
  if #list > 0 then
    local length = redis.call('RPUSH', key, unpack(list))
    if length == #list then redis.call('ZADD', p .. 'o', string.match(list[1], '^%d+'), name) end
    if length > maxEvents[name] then dropped(redis.call('LPOP', key, length - maxEvents[name])) end
  end
end
local over = redis.call('ZCARD', p .. 'i') - maxChannels
for _ = 1, over do
  local oldest = redis.call('ZPOPMIN', p .. 'i')
  redis.call('HSET', KEYS[1], 'f', oldest[2])
  redis.call('ZREM', p .. 'o', oldest[1])
  local key = p .. 'c:' .. oldest[1]
  repeat
    local gone = redis.call('LPOP', key, 1000)
    if gone then dropped(gone) end
  until not gone
end
while bytes > maxBytes do
  local oldest = redis.call('ZRANGE', p .. 'o', 0, 0, 'WITHSCORES')
  if not oldest[1] then
    bytes = 0
    break
  end
  local key = p .. 'c:' .. oldest[1]
  local head = redis.call('LINDEX', key, 0)
  if not head then
    redis.call('ZREM', p .. 'o', oldest[1])
  else
    local seq = string.match(head, '^%d+')
    if tonumber(seq) > tonumber(oldest[2]) then
      redis.call('ZADD', p .. 'o', seq, oldest[1])
    else
      redis.call('LPOP', key)
      bytes = bytes - #head
    end
  end
end
if bytes ~= claimed then redis.call('HSET', KEYS[1], 'b', text(bytes)) end

-- Remember keys in two generations, so that one command deletes the older one.
if #newKeys > 0 then
  local generation = redis.call('HMGET', KEYS[1], 'k', 'kt')
  local current, since = generation[1] or '0', tonumber(generation[2] or now)
  if redis.call('HLEN', p .. 'k' .. current) >= 100000 or now - since >= 600000 then
    current = current == '0' and '1' or '0'
    since = now
    redis.call('UNLINK', p .. 'k' .. current)
  end
  redis.call('HSET', KEYS[1], 'k', current, 'kt', text(since))
  redis.call('HSET', p .. 'k' .. current, unpack(newKeys))
end
for _, entry in ipairs(taken) do redis.call('XDEL', p .. 'in', entry) end

-- Publish only to channels with listeners: replicas receive every PUBLISH, even without listeners.
local asked, ask, known = {}, {}, {}
for _, name in ipairs(touched) do
  local of = { p .. 'e:' .. name, p .. 'w:' }
  local dot = 0
  for _ = 1, 3 do
    dot = string.find(name, '.', dot + 1, true)
    if not dot then break end
    of[#of + 1] = p .. 'w:' .. string.sub(name, 1, dot - 1)
  end
  asked[name] = of
  for _, channel in ipairs(of) do
    if known[channel] == nil then
      known[channel] = false
      ask[#ask + 1] = channel
    end
  end
end
for i = 1, #ask, 1000 do
  local listeners = redis.call('PUBSUB', 'NUMSUB', unpack(ask, i, math.min(i + 999, #ask)))
  for j = 1, #listeners, 2 do known[listeners[j]] = tonumber(listeners[j + 1]) > 0 end
end
local heads = {}
for _, name in ipairs(touched) do
  local of = {}
  for _, channel in ipairs(asked[name]) do
    if known[channel] then of[#of + 1] = channel end
  end
  asked[name] = of
  heads[name] = epoch .. ' ' .. name .. (isNew[name] and ' n' or '') .. '\n'
end
for i = 1, added do
  local of = asked[channels[i]]
  if #of > 0 then
    local message = heads[channels[i]] .. entries[i]
    for j = 1, #of do redis.call('PUBLISH', of[j], message) end
  end
end
return answer
`
