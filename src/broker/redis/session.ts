import { newEpoch } from '../../protocol/cursor.ts'
import type { Link } from './link.ts'
import type { LogTime } from './log-time.ts'
import type { RedisBrokerSettings } from './options.ts'
import { probe, type Script } from './scripts.ts'
import type { Seen } from './seen.ts'

/** The number of attempts to start a new epoch; more attempts mean another problem. */
const MAX_FENCES = 5

/** The data of a node, for the log. */
export interface NodeState {
  /** Identifies this process in the log. */
  readonly node: string
  readonly time: LogTime
  readonly seen: Seen
}

/** A link together with the arguments that every script receives. */
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

  /** The time of the log, in the form for a script. */
  get time(): string {
    return this.#state.time.now().toFixed(0)
  }

  /** Runs a script that writes. */
  write(script: Script, args: readonly string[]): Promise<unknown> {
    const { epoch, seq } = this.#state.seen.cursor ?? { epoch: '', seq: 0 }
    return this.link.run(script, [this.time, this.#settings.fence, newEpoch(), epoch, `${seq}`, ...args])
  }

  /** Runs a script that reads. If a new epoch is due, it is started first. */
  async read<T extends readonly unknown[]>(script: Script, args: readonly string[]): Promise<T> {
    for (let attempt = 0; attempt < MAX_FENCES; attempt++) {
      const reply = (await this.link.run(script, [this.#settings.fence, ...args])) as readonly unknown[]
      if (reply[0] === 'replica') throw new Error('REPLICA the server is not the master')
      if (reply[0] !== 'fence') {
        const end = { epoch: reply[1] as string, seq: reply[2] as number }
        if (!this.#state.seen.isBeyond(end)) {
          this.#state.seen.add(end)
          return reply as T
        }
      }
      await this.probe()
    }
    throw new Error('The life of the log keeps changing: is one prefix used for several servers?')
  }

  /** Reads the state of the log. Returns the names whose events should be checked. */
  async probe(): Promise<readonly string[]> {
    const sweep = this.#probes++ % 60 === 0 ? '1' : '0'
    const remember = this.#settings.history.rememberMs.toFixed(0)
    const [epoch, seq, ...names] = (await this.write(probe, [this.#state.node, remember, sweep])) as [
      string,
      number,
      ...string[],
    ]
    this.#state.seen.add({ epoch, seq })
    return names
  }
}
