/**
 * The beginning of every script that writes. `ARGV`: 1 the time, 2 the way to distinguish lives, 3 a name for a new
 * epoch, 4 and 5 the position that the node has received.
 *
 * A life of the log ends when the server may have lost a suffix of it: `master_replid` changes with every start, every
 * promotion and every full resynchronisation, while the `run_id` of a process stays the same when it is demoted and
 * promoted again.
 */
export const FENCE = `
local p = string.sub(KEYS[1], 1, -2)
local function text(n) return string.format('%.0f', n) end

local m = redis.call('HMGET', KEYS[1], 'e', 's', 'r', 'f', 'b', 't', 'h')
local epoch, floor, bytes = m[1], tonumber(m[4] or 0), tonumber(m[5] or 0)
local last = tonumber(m[2] or 0)
local now = math.max(tonumber(ARGV[1]), tonumber(m[6] or 0))

local life = 'none'
if ARGV[2] ~= 'none' then
  life = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if not life then return redis.error_reply('SSE the server reports no master_replid') end
end

-- Another life, or a node has received more of this one than the log has: a new epoch, and the old one ends.
if m[3] ~= life or (epoch == ARGV[4] and tonumber(ARGV[5]) > last) then
  local old = m[7] or ''
  if epoch then
    old = old .. epoch .. ':' .. text(last) .. ','
    local _, count = string.gsub(old, ',', ',')
    if count > 256 then old = string.gsub(old, '^[^,]*,', '') end
  else
    -- The state is gone and other keys are not: their events came before all later ones, and are lost.
    local newest = redis.call('ZREVRANGE', p .. 'i', 0, 0, 'WITHSCORES')
    local entry = redis.call('XREVRANGE', p .. 'g', '+', '-', 'COUNT', 1)
    last = math.max(tonumber(newest[2] or 0), entry[1] and tonumber(string.match(entry[1][1], '^%d+')) or 0)
    floor = last
  end
  epoch = ARGV[3]
  redis.call('HSET', KEYS[1], 'v', '1', 'e', epoch, 'es', text(last), 's', text(last), 'r', life, 'f', text(floor), 'b', text(bytes),
    't', text(now), 'h', old)
end

-- Events whose names are gone can no longer be distinguished: all of them are lost.
if last > floor and redis.call('EXISTS', p .. 'i') == 0 then
  floor = last
  redis.call('HSET', KEYS[1], 'f', text(floor))
end
`

/**
 * The beginning of every script that reads. Such a script writes nothing, so that it works if memory is full and while
 * writes are refused. `ARGV[1]`: the way to distinguish lives. It answers `fence` if a new epoch is due.
 */
export const READ_FENCE = `
local p = string.sub(KEYS[1], 1, -2)
local function text(n) return string.format('%.0f', n) end

local m = redis.call('HMGET', KEYS[1], 'e', 's', 'r', 'f', 't', 'es')
local epoch, floor, last = m[1], tonumber(m[4] or 0), tonumber(m[2] or 0)
-- The end of the log when this epoch began.
local start = tonumber(m[6] or 0)

local life = 'none'
if ARGV[1] ~= 'none' then
  local replication = redis.call('INFO', 'replication')
  if not string.find(replication, 'role:master', 1, true) then return { 'replica' } end
  life = string.match(replication, 'master_replid:(%x+)')
end
if not epoch or m[3] ~= life then return { 'fence' } end
if last > floor and redis.call('EXISTS', p .. 'i') == 0 then return { 'fence' } end

-- The place of a position in this life of the log.
local function locate(of, seq)
  if of == '' then return 'ok', last end
  local stop = last
  if of ~= epoch then
    local old = redis.call('HGET', KEYS[1], 'h') or ''
    stop = tonumber(string.match(',' .. old, ',' .. of .. ':(%d+),'))
    if not stop then return 'unknown-epoch', last end
  end
  if seq > stop then return 'diverged', stop end
  return 'ok', seq
end
`
