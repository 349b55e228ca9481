import type { EventSourceMessage } from 'eventsource-parser'
import { parseCursor } from '../../src/protocol/cursor.ts'

/** What really happened to the log, for a client's story to be compared with. */
export interface GroundTruth {
  /** Every event there ever was, in order. */
  readonly events: readonly { readonly seq: number; readonly channel: string }[]
  /** Whether an event can no longer be had from the log. */
  readonly isGone: (seq: number) => boolean
}

interface Gap {
  readonly reason: string
  readonly channels: readonly string[]
  readonly to: string
}

/**
 * The knowledge of one client after any number of connections: the events it received, in order, and the reported
 * losses. It sees the same as an EventSource: types, data, IDs.
 */
export class ReadingClient {
  readonly #matches: (channel: string) => boolean
  readonly #truth: GroundTruth
  lastEventId = ''
  /** Where its first connection began; undefined before that. */
  start: number | undefined
  /** The last event received or reported as lost, by channel. */
  readonly #settled = new Map<string, number>()
  #last = -1
  readonly problems: string[] = []
  received = 0
  gaps = 0

  constructor(matches: (channel: string) => boolean, truth: GroundTruth) {
    this.#matches = matches
    this.#truth = truth
  }

  read(events: Iterable<EventSourceMessage>): void {
    for (const event of events) this.#read(event)
  }

  #read({ event, id, data }: EventSourceMessage): void {
    if (id !== undefined) {
      const seq = parseCursor(id)?.seq ?? Number.NaN
      if (!(seq >= this.#last)) this.problems.push(`id ${id} after ${this.lastEventId} goes backwards`)
      this.#last = seq
      this.lastEventId = id
      this.start ??= seq
    }
    if (event === 'hub.gap') this.#gap(JSON.parse(data))
    else if (event === undefined) this.#event(parseCursor(id!)!.seq, data)
  }

  #event(seq: number, data: string): void {
    const truth = this.#truth.events.find((event) => event.seq === seq)
    if (truth === undefined) return void this.problems.push(`phantom ${seq}`)
    const { channel } = truth
    if (!this.#matches(channel)) this.problems.push(`${channel} ${seq} was not asked for`)
    // What the hub publishes does not know its place beforehand.
    if (data !== `${channel} ${seq}` && data !== `${channel} ?`) this.problems.push(`${seq} arrived as ${data}`)
    const settled = this.#settledOf(channel)
    if (seq <= settled) this.problems.push(`duplicate ${channel} ${seq} after ${settled}`)
    for (const missed of this.#between(channel, settled, seq - 1)) this.problems.push(`lost ${channel} ${missed}`)
    this.#settled.set(channel, seq)
    this.received++
  }

  #gap({ reason, channels, to }: Gap): void {
    this.gaps++
    if (reason !== 'trimmed') return void this.problems.push(`gap of reason ${reason}`)
    const upto = parseCursor(to)!.seq
    for (const channel of channels) {
      const told = this.#between(channel, this.#settledOf(channel), upto)
      if (!told.some((seq) => this.#truth.isGone(seq))) this.problems.push(`false gap on ${channel} up to ${upto}`)
      this.#settled.set(channel, Math.max(upto, this.#settledOf(channel)))
    }
  }

  /** At the end, when nothing is in progress: every event has arrived or was reported as lost. */
  finish(): void {
    if (this.start === undefined) return void this.problems.push('never began')
    const channels = new Set(this.#truth.events.map(({ channel }) => channel).filter(this.#matches))
    for (const channel of channels) {
      for (const seq of this.#between(channel, this.#settledOf(channel), Number.POSITIVE_INFINITY)) {
        this.problems.push(`never got ${channel} ${seq}`)
      }
    }
  }

  #settledOf(channel: string): number {
    return this.#settled.get(channel) ?? this.start ?? 0
  }

  #between(channel: string, after: number, upto: number): number[] {
    return this.#truth.events
      .filter((event) => event.channel === channel && event.seq > after && event.seq <= upto)
      .map(({ seq }) => seq)
  }
}
