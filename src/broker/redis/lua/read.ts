import { READ_FENCE } from './fence.ts'

/**
 * Finds the first kept event after a position that has not expired. The search starts at the end, because most readers
 * are near it.
 */
const FIRST = `
local now = math.max(tonumber(ARGV[2]), tonumber(m[5] or 0))

-- The index of the first event after the position that is young enough, how many there are from there on, and of the first
-- its seq, its prev and its size.
local function first(key, from, maxAge)
  local length = redis.call('LLEN', key)
  local oldest = maxAge == '' and 0 or now - tonumber(maxAge)
  local found, seq, before, size = length, nil, nil, 0
  local function reaches(i)
    local entry = redis.call('LINDEX', key, i)
    local s, b, t = string.match(entry, '^(%d+) (%d+) (%d+) ')
    if tonumber(s) <= from or tonumber(t) < oldest then return false end
    found, seq, before, size = i, tonumber(s), b, #entry
    return true
  end
  local low, step = length - 1, 1
  while low >= 0 and reaches(low) do
    low = low - step
    step = 2 * step
  end
  low = math.max(low, -1)
  while found - low > 1 do
    local middle = math.floor((low + found) / 2)
    if not reaches(middle) then low = middle end
  end
  return found, length - found, seq, before, size
end
`

/**
 * The events of channels after a position. `ARGV`: 1 the way to distinguish lives, 2 the time, 3 and 4 the position, 5
 * and 6 the number of events and bytes, 7 a position after which the search ends or nothing, then names, each with the
 * maximum age of its events.
 *
 * The answer: status, epoch, end of the log, start of the epoch, floor, the position in this epoch, the end of the complete part of the
 * answer, and for each channel with an event after the position (or an unknown one that may have had one): its name,
 * its last `seq`, whether its events are complete, the `prev` of the first, and the events.
 */
export const READ = `#!lua flags=no-writes
${READ_FENCE}${FIRST}
local status, from = locate(ARGV[3], tonumber(ARGV[4]))
if status == 'unknown-epoch' then return { status, epoch, last, start, floor, last, last } end
local events, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local upto = math.min(last, tonumber(ARGV[7]) or last)
local reply = { status, epoch, last, start, floor, from, upto }

local names, ages = {}, {}
for i = 8, #ARGV, 2 do
  names[#names + 1] = ARGV[i]
  ages[#names] = ARGV[i + 1]
end
local scores = #names > 0 and redis.call('ZMSCORE', p .. 'i', unpack(names)) or {}
local list, counts, total = {}, {}, 0
for i, name in ipairs(names) do
  if not scores[i] then
    if from < floor then reply[#reply + 1] = { name, '', 1, '' } end
  elseif tonumber(scores[i]) > from then
    local key = p .. 'c:' .. name
    local start, count, seq, before, size = first(key, from, ages[i])
    if count == 0 then
      reply[#reply + 1] = { name, scores[i], 1, '' }
    else
      list[#list + 1] = { name, scores[i], key, start, count, seq, before, size }
      counts[#counts + 1] = count
      total = total + count
    end
  end
end

-- The same number of events of each channel, if it has that many.
local share = events
if total > events then
  table.sort(counts)
  local left = events
  for i, count in ipairs(counts) do
    share = math.max(1, math.floor(left / (#counts - i + 1)))
    if count > share then break end
    left = left - count
  end
end

-- In the order of their first events: unread events are after the ones that were read.
table.sort(list, function(a, b) return a[6] < b[6] end)
local bytes = 0
for i, channel in ipairs(list) do
  local one = { channel[1], channel[2], 0, channel[7] }
  local count, seq = channel[5], channel[6]
  if i > 1 and bytes > most then upto = math.min(upto, seq - 1) end
  if seq <= upto then
    local want, got, own = math.min(count, share), 0, 0
    local step = math.max(1, math.min(128, math.floor(most / (4 * channel[8]))))
    while got < want and own < most do
      local some = redis.call('LRANGE', channel[3], channel[4] + got, channel[4] + math.min(want, got + step) - 1)
      for j = 1, #some do
        own = own + #some[j]
        one[#one + 1] = some[j]
      end
      got = got + #some
    end
    bytes = bytes + own
    if got == count then
      one[3] = 1
    else
      upto = math.min(upto, tonumber(string.match(one[#one], '^%d+')))
    end
  end
  reply[#reply + 1] = one
end
reply[7] = upto
return reply
`

/**
 * The last events of channels, the newest of all. `ARGV`: 1 the way to distinguish lives, 2 the time, 3 the number for
 * each channel, 4 and 5 the maximum of events and bytes, 6 the start of the wanted range, 7 its end or nothing, then
 * names, each with the maximum age of its events.
 *
 * The answer: status, epoch, end of the log, start of the epoch, then name and event in turn.
 */
export const LATEST = String.raw`#!lua flags=no-writes
${READ_FENCE}
local now = math.max(tonumber(ARGV[2]), tonumber(m[5] or 0))
local each, events, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local low, stop = tonumber(ARGV[6]), tonumber(ARGV[7]) or last

local names, ages = {}, {}
for i = 8, #ARGV, 2 do
  names[#names + 1] = ARGV[i]
  ages[#names] = ARGV[i + 1]
end
local scores = #names > 0 and redis.call('ZMSCORE', p .. 'i', unpack(names)) or {}
local list = {}
for i, name in ipairs(names) do
  if scores[i] then list[#list + 1] = { name, tonumber(scores[i]), ages[i] } end
end
table.sort(list, function(a, b) return a[2] > b[2] end)

local items, bytes = {}, 0
-- Keeps the newest that fit, and remembers the age limit.
local function cut()
  table.sort(items, function(a, b) return a[1] > b[1] end)
  local newest = {}
  bytes = 0
  for _, item in ipairs(items) do
    bytes = bytes + item[4]
    if #newest == events or (#newest > 0 and bytes > most) then
      bytes = bytes - item[4]
      low = newest[#newest][1]
      break
    end
    newest[#newest + 1] = item
  end
  items = newest
end

for _, channel in ipairs(list) do
  if channel[2] <= low then break end
  local key = p .. 'c:' .. channel[1]
  local oldest = channel[3] == '' and 0 or now - tonumber(channel[3])
  local length = redis.call('LLEN', key)
  local count, looked, own, step = 0, 0, 0, 1
  local open = true
  while open and looked < length do
    local some = redis.call('LRANGE', key, math.max(0, length - looked - step), length - looked - 1)
    for i = #some, 1, -1 do
      local entry = some[i]
      local seq, time = string.match(entry, '^(%d+) %d+ (%d+) ')
      seq = tonumber(seq)
      if seq <= low or tonumber(time) < oldest or count == each or own > most then
        open = false
        break
      end
      if seq <= stop then
        local size = #entry - string.find(entry, '\n', 1, true)
        items[#items + 1] = { seq, channel[1], entry, size }
        count = count + 1
        own = own + size
        bytes = bytes + size
      end
    end
    looked = looked + #some
    step = math.min(2 * step, 64)
  end
  if #items >= 2 * events or bytes > 4 * most then cut() end
end
cut()
local reply = { 'ok', epoch, last, start }
for _, item in ipairs(items) do
  reply[#reply + 1] = item[2]
  reply[#reply + 1] = item[3]
end
return reply
`
