import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { createClient } from 'redis'
import { redisBroker } from '../src/broker/redis/index.ts'
import type { HistoryOptions } from '../src/broker/retention.ts'
import { sqliteBroker } from '../src/broker/sqlite/index.ts'
import type { Clock } from '../src/clock.ts'
import { type Broker, memoryBroker } from '../src/index.ts'

/** The default place of the log: a file, so that a restart loses nothing. */
export const DEFAULT_BROKER = 'sqlite:./data/hub.db'

/** The broker that `HUB_BROKER` names: `memory`, `sqlite:` and a file, or a Redis URL. Undefined when it names none. */
export function brokerOf(name: string, history: HistoryOptions, clock?: Clock): Broker | undefined {
  if (name === 'memory') return memoryBroker({ history, clock })
  if (/^rediss?:/.test(name)) {
    const client = createClient({ url: name })
    return redisBroker({ client, history: withoutEntryLimits(history), clock })
  }
  const file = /^sqlite:(.+)$/.exec(name)?.[1]
  if (file === undefined) return undefined
  mkdirSync(dirname(file), { recursive: true })
  return sqliteBroker({ file, history, clock })
}

/** The Redis broker has limits of the whole log and of single channels, none of entries. */
function withoutEntryLimits({ channels = {}, ...history }: HistoryOptions): HistoryOptions {
  const limits = Object.entries(channels).map(([name, { maxEvents, maxAgeMs }]) => [name, { maxEvents, maxAgeMs }])
  return { ...history, channels: Object.fromEntries(limits) }
}
