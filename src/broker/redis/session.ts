import { type Cursor, newEpoch } from '../../protocol/cursor.ts'
import type { Link } from './link.ts'
import type { LogTime } from './log-time.ts'
import type { RedisBrokerSettings } from './options.ts'
import { probe, type Script } from './scripts.ts'

/** How often a new epoch is asked for before something else must be wrong. */
const MAX_FENCES = 5

/** What a node is, for the log. */
export interface NodeState {
  /** Names this process in the log. */
  readonly node: string
  readonly time: LogTime
  /** The position that it has seen; undefined before the first. */
  position(): Cursor | undefined
}

/** A link together with what every script is told. */
export class Session {
  readonly link: Link
  readonly #settings: RedisBrokerSettings
  readonly #state: NodeState
  #probes = 0

  constructor(link: Link, settings: RedisBrokerSettings, state: NodeState) {
    this.link = link
    this.#settings = settings
    this.#state = state
  }

  /** The time of the log, as a script takes it. */
  get time(): string {
    return this.#state.time.now().toFixed(0)
  }

  /** Runs a script that writes. */
  write(script: Script, args: readonly string[]): Promise<unknown> {
    const position = this.#state.position()
    const seen = [position?.epoch ?? '', position?.seq.toFixed(0) ?? '0']
    return this.link.run(script, [this.time, this.#settings.fence, newEpoch(), ...seen, ...args])
  }

  /** Runs a script that reads. When a new epoch is due, it is begun first. */
  async read<T extends readonly unknown[]>(script: Script, args: readonly string[]): Promise<T> {
    for (let attempt = 0; attempt < MAX_FENCES; attempt++) {
      const reply = (await this.link.run(script, [this.#settings.fence, ...args])) as readonly unknown[]
      if (reply[0] === 'replica') throw new Error('REPLICA the server is not the master')
      if (reply[0] !== 'fence') return reply as T
      await this.probe()
    }
    throw new Error('The life of the log keeps changing: is one prefix used for several servers?')
  }

  /** Asks how the log is. Gives the names whose events are to be looked at. */
  async probe(): Promise<readonly string[]> {
    const sweep = this.#probes++ % 60 === 0 ? '1' : '0'
    const remember = this.#settings.history.rememberMs.toFixed(0)
    const [, , ...names] = (await this.write(probe, [this.#state.node, remember, sweep])) as string[]
    return names
  }
}
