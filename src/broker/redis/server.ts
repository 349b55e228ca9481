import { LogProblem } from './failure.ts'
import type { Link } from './link.ts'
import type { RedisBrokerSettings } from './options.ts'

/** The version of the key space. A node that finds another version does not use it. */
const FORMAT = '1'

/** The commands that the scripts and this package use, with the arguments that permissions depend on. */
function commands(prefix: string, ingest: boolean): readonly string[][] {
  const key = `${prefix}m`
  const channel = `${prefix}e:x`
  const needed = [
    ...['exists', 'unlink', 'hgetall', 'hlen', 'zcard', 'zpopmin', 'llen', 'lpop'].map((name) => [name, key]),
    ...['hget', 'hdel', 'zrem', 'zscore', 'zmscore', 'rpush', 'lindex'].map((name) => [name, key, 'x']),
    ...['hset', 'zadd', 'zrange', 'zrevrange', 'zrangebyscore', 'zrevrangebyscore', 'zremrangebyrank', 'lrange'].map(
      (name) => [name, key, '0', '0'],
    ),
    ['hmget', key, 'x'],
    ['xadd', key, '*', 'x', 'x'],
    ['xrange', key, '-', '+'],
    ['xrevrange', key, '+', '-'],
    ['time'],
    ['script', 'load', ''],
    ['evalsha', '', '1', key],
    ['publish', channel, ''],
    ['subscribe', channel],
    ['unsubscribe', channel],
    ['pubsub', 'numsub', channel],
  ]
  if (ingest) needed.push(['xread', 'streams', key, '0'], ['xdel', key, '0-0'])
  return needed
}

const MISSING = `local missing = {}
for _, line in ipairs(ARGV) do
  local command = cjson.decode(line)
  if not redis.acl_check_cmd(unpack(command)) then
    missing[#missing + 1] = command[1] == 'script' and 'script|load' or command[1] == 'pubsub' and 'pubsub|numsub' or command[1]
  end
end
return missing`

/** The properties that a server reports. */
export interface Server {
  /** Whether it has an append-only file; undefined if it did not report that. */
  readonly persists: boolean | undefined
  /** Its time in milliseconds. */
  readonly time: number
}

/** Throws a LogProblem, with the required change, if the log cannot be kept on this server. */
export async function examine(link: Link, { prefix, ingest, fence }: RedisBrokerSettings): Promise<Server> {
  const hello = fieldsOf(await allowed(link.call(['HELLO'])))
  const version = `${hello.get('version')}`
  if (!(Number.parseInt(version, 10) >= 7)) {
    throw new LogProblem(`The broker needs Redis or Valkey 7.0 or newer; this server is ${version}.`)
  }
  if (`${hello.get('proto')}` !== '3') {
    throw new LogProblem('The broker needs RESP3: use `redis` 6.3 or newer, or `ioredis` 6 or newer.')
  }
  const lines = commands(prefix, ingest).map((command) => JSON.stringify(command))
  const missing = (await allowed(link.call(['EVAL', MISSING, '0', ...lines]))) as string[]
  if (missing.length > 0) {
    const rights = [...new Set(missing)].map((name) => `+${name}`).join(' ')
    throw new LogProblem(
      `The user of Redis lacks rights for keys ~${prefix}* and channels &${prefix}*, or these commands: ${rights}`,
    )
  }
  const info = await infoOf(link, fence)
  if (info !== undefined) {
    if (info.get('cluster_enabled') === '1') {
      throw new LogProblem(
        'The broker needs one server (replicas and failover allowed); this one runs in cluster mode.',
      )
    }
    const policy = info.get('maxmemory_policy') ?? ''
    if (policy.startsWith('allkeys-')) {
      throw new LogProblem(
        `This Redis evicts keys of the log when its memory is full (maxmemory-policy ${policy}): set noeviction or volatile-lru.`,
      )
    }
    if (fence === 'replid' && !info.has('master_replid')) {
      throw new LogProblem(`This server reports no master_replid. ${CHOICE}`)
    }
  }
  const format = await allowed(link.call(['HGET', `${prefix}m`, 'v']))
  if (format !== null && `${format}` !== FORMAT) {
    throw new LogProblem(
      `The keys of this prefix have format ${format}, and this version of express-sse-hub supports ${FORMAT}: use its version, or another prefix.`,
    )
  }
  const [seconds, microseconds] = (await link.call(['TIME'])) as [string, string]
  return {
    persists: info === undefined ? undefined : info.get('aof_enabled') === '1',
    time: Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000),
  }
}

const CHOICE =
  "With the option `fence: 'none'` the broker works without it. Then a client may miss events without a gap after the server has lost its last writes."

async function infoOf(link: Link, fence: RedisBrokerSettings['fence']): Promise<Map<string, string> | undefined> {
  try {
    const text = `${await link.call(['INFO', 'memory', 'cluster', 'persistence', 'replication'])}`
    return new Map([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]))
  } catch (error) {
    if (!isDenied(error)) throw error
    if (fence === 'none') return undefined
    throw new LogProblem(`The user of Redis may not call INFO: grant +info. ${CHOICE}`)
  }
}

/** A command that is always required. */
async function allowed<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply
  } catch (error) {
    if (!isDenied(error)) throw error
    const command = /'([^']+)' command/.exec((error as Error).message)?.[1] ?? 'some command'
    throw new LogProblem(`The user of Redis may not call ${command}: grant +${command} on keys ~{…}:*.`)
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOPERM')
}

/** A map in the form of either library. */
function fieldsOf(reply: unknown): Map<string, unknown> {
  if (reply instanceof Map) return reply
  if (!Array.isArray(reply)) return new Map(Object.entries(reply as object))
  return new Map(reply.flatMap((name, i) => (i % 2 === 0 ? [[`${name}`, reply[i + 1]] as const] : [])))
}
