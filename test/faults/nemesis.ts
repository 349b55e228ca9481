import type { HubProcess } from './hub-process.ts'
import type { Publisher } from './publisher.ts'
import type { Subscriber } from './subscriber.ts'

/** What a fault has to do with. */
export interface Target {
  readonly hub: HubProcess
  readonly random: () => number
  readonly publishers: readonly Publisher[]
  readonly subscribers: readonly Subscriber[]
  /** Lets the load run for so long. */
  load(ms: number): Promise<void>
  /** Resolves when every subscriber has a new connection. */
  reconnected(since: readonly number[]): Promise<void>
}

/** Something that goes wrong, and is put right again. */
export interface Nemesis {
  readonly name: string
  /** Whether it removes acknowledged events. */
  readonly lossy: boolean
  /** Resolves when the hub could be whole again. */
  strike(target: Target): Promise<void>
}

/** How many connections each subscriber has had, for `reconnected`. */
export function connectionsOf({ subscribers }: Target): number[] {
  return subscribers.map(({ opened }) => opened)
}

/** Nobody publishes while `fn` runs. */
export async function inSilence({ publishers }: Target, fn: () => Promise<void>): Promise<void> {
  for (const publisher of publishers) publisher.pause()
  try {
    await fn()
  } finally {
    for (const publisher of publishers) publisher.resume()
  }
}
