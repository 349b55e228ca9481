import { READ_FENCE } from './fence.ts'

/**
 * The names with events after a position, batch by batch, as far back as the order reaches. `ARGV`: 1 the way to
 * distinguish lives, 2 and 3 the position or nothing, 4 the number of batches.
 *
 * The answer: status, epoch, end of the log, start of the epoch, floor, the position in this epoch, whether the order reaches back to it,
 * the start of the order, then for each batch its last `seq` and its names.
 */
export const ORDER = `#!lua flags=no-writes
${READ_FENCE}
local status, from = locate(ARGV[2], tonumber(ARGV[3]))
local begin = last
local oldest = redis.call('XRANGE', p .. 'g', '-', '+', 'COUNT', 1)
if oldest[1] then begin = tonumber(oldest[1][2][2]) end
local reply = { status, epoch, last, start, floor, from, begin <= from and 1 or 0, begin }
if begin <= from and from < last then
  for _, entry in ipairs(redis.call('XRANGE', p .. 'g', '(' .. text(from), '+', 'COUNT', ARGV[4])) do
    reply[#reply + 1] = tonumber(string.match(entry[1], '^%d+'))
    reply[#reply + 1] = entry[2][4]
  end
end
return reply
`

/**
 * A slice of the index: 1,000 names by their last event. `ARGV`: 1 the way to distinguish lives, 2 the position after
 * (or before) which it begins, 3 `up` or `down`.
 *
 * The answer: status, epoch, end of the log, start of the epoch, floor, then name and last `seq` in turn.
 */
export const NAMES = `#!lua flags=no-writes
${READ_FENCE}
local slice
if ARGV[3] == 'up' then
  slice = redis.call('ZRANGEBYSCORE', p .. 'i', '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1000)
else
  slice = redis.call('ZREVRANGEBYSCORE', p .. 'i', '(' .. ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', 0, 1000)
end
local reply = { 'ok', epoch, last, start, floor }
for i = 1, #slice do reply[#reply + 1] = slice[i] end
return reply
`
