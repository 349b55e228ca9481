import { resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { choiceOption, optionsObject } from '../../option.ts'
import { serverClockOption } from '../../server-clock.ts'
import { type HistoryOptions, resolveHistoryOptions } from '../retention.ts'
import type { Durability } from './log/schema.ts'
import type { ThreadData } from './thread/protocol.ts'

/** Options of `sqliteBroker()`. */
export interface SqliteBrokerOptions {
  /**
   * Where the log is: a path, resolved when the broker is made. The file is made when it is not there; its folder has to
   * be, on a local disk. SQLite puts `-wal` and `-shm` beside it, this broker `-lock`: together they are the log.
   */
  file: string
  /** How much is kept for those who come back. The same as of the memory broker. */
  history?: HistoryOptions | undefined
  /**
   * When a publish is acknowledged. `'full'` (default): it is on the disk, and a power failure loses nothing. `'normal'`:
   * it is with the operating system; a crash of the process loses nothing, a power failure may lose the last commits,
   * which is told as a gap.
   */
  durability?: 'full' | 'normal' | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/** Options of a broker with every default filled in. */
export interface SqliteBrokerSettings {
  readonly data: Omit<ThreadData, 'role'>
  readonly clock: Clock
  /** The module that its threads run. Undefined: the one of this package. */
  readonly worker?: URL | undefined
}

const DURABILITIES: readonly Durability[] = ['full', 'normal']

export function resolveSqliteOptions(options: SqliteBrokerOptions): SqliteBrokerSettings {
  const of = 'sqliteBroker()'
  const { file, history, durability, clock } = optionsObject(of, options, ['file', 'history', 'durability', 'clock'])
  if (typeof file !== 'string' || file === '' || file.includes('\0') || file === ':memory:') {
    throw new TypeError("The option file is the path of a file, such as 'data/hub.db'.")
  }
  // The threads resolve it again; here it is checked.
  resolveHistoryOptions(history)
  return {
    data: { file: resolve(file), history, durability: choiceOption('durability', durability, 'full', DURABILITIES) },
    clock: serverClockOption(clock),
  }
}
