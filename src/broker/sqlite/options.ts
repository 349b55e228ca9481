import { resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { choiceOption, optionsObject } from '../../option.ts'
import { serverClockOption } from '../../server-clock.ts'
import { type HistoryOptions, type ResolvedHistoryOptions, resolveHistoryOptions } from '../retention.ts'
import type { Durability } from './log/schema.ts'
import type { ThreadData } from './thread/protocol.ts'

/** Options of `sqliteBroker()`. */
export interface SqliteBrokerOptions {
  /**
   * The path of the log, resolved when the broker is made. The file is created if it does not exist; its folder must
   * exist, on a local disk. SQLite puts `-wal` and `-shm` beside it, and this broker `-lock`: together they are the
   * log.
   */
  file: string
  /** Limits of the events that are kept for clients that reconnect. The same as for the memory broker. */
  history?: HistoryOptions | undefined
  /**
   * The moment at which a publish is acknowledged. `'full'` (default): it is on disk, and a power failure loses
   * nothing. `'normal'`: it is with the operating system. A crash of the process loses nothing; a power failure may
   * lose the last commits, which is reported as a gap.
   */
  durability?: 'full' | 'normal' | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/** Options of a broker with every default filled in. */
export interface SqliteBrokerSettings {
  readonly data: Omit<ThreadData, 'role'>
  readonly history: ResolvedHistoryOptions
  readonly clock: Clock
  /** The module of its threads. Undefined: the module of this package. */
  readonly worker?: URL | undefined
}

const DURABILITIES: readonly Durability[] = ['full', 'normal']

export function resolveSqliteOptions(options: SqliteBrokerOptions): SqliteBrokerSettings {
  const of = 'sqliteBroker()'
  const { file, history, durability, clock } = optionsObject(of, options, ['file', 'history', 'durability', 'clock'])
  if (typeof file !== 'string' || file === '' || file.includes('\0') || file === ':memory:') {
    throw new TypeError("Option `file` must be the path of a file, such as 'data/hub.db'.")
  }
  return {
    data: { file: resolve(file), history, durability: choiceOption('durability', durability, 'full', DURABILITIES) },
    // The threads resolve it again.
    history: resolveHistoryOptions(history),
    clock: serverClockOption(clock),
  }
}
