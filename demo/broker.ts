import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { HistoryOptions } from '../src/broker/retention.ts'
import { sqliteBroker } from '../src/broker/sqlite/index.ts'
import type { Clock } from '../src/clock.ts'
import { type Broker, memoryBroker } from '../src/index.ts'

/** The default place of the log: a file, so that a restart loses nothing. */
export const DEFAULT_BROKER = 'sqlite:./data/hub.db'

/** The broker that `HUB_BROKER` names: `memory`, or `sqlite:` and a file. Undefined when it names none. */
export function brokerOf(name: string, history: HistoryOptions, clock?: Clock): Broker | undefined {
  if (name === 'memory') return memoryBroker({ history, clock })
  const file = /^sqlite:(.+)$/.exec(name)?.[1]
  if (file === undefined) return undefined
  mkdirSync(dirname(file), { recursive: true })
  return sqliteBroker({ file, history, clock })
}
