import type { Series } from '../merge.ts'
import type { StoredEvent } from '../stored-event.ts'
import { decodeEntry, placeOf } from './entry.ts'

/** What the log said of one channel, in turn: its name, its last `seq`, whether the events are all, the first `prev`. */
export type ChannelReply = readonly [name: string, last: string, complete: number, prev: string, ...entries: string[]]

/** What a channel holds after a position, as far as it was read: its events, and a loss where some are missing. */
export class ChannelSeries implements Series<StoredEvent> {
  readonly name: string
  readonly #epoch: string
  readonly #entries: readonly string[]
  /** How far its answer is complete: nothing after it is shown, because another channel may have something before. */
  readonly #upto: number
  /** The `seq` of what follows the entries; what was lost is told up to here. */
  readonly #rest: number
  /** Up to here everything has been read or told as lost. */
  #at: number
  #index = 0
  seq = 0
  event: StoredEvent | undefined
  bytes = 0

  /** `floor`: what an unknown channel, or a pattern, has lost. */
  constructor(reply: ChannelReply, epoch: string, after: number, upto: number, floor: number) {
    const [name, last, complete, prev, ...entries] = reply
    this.name = name
    this.#epoch = epoch
    this.#entries = entries
    this.#upto = upto
    this.#at = after
    if (complete === 1) this.#rest = last === '' ? floor : Number(last)
    else this.#rest = entries.length === 0 ? Number(prev) : 0
  }

  /** Whether it has an item. */
  begin(): boolean {
    return this.#look()
  }

  advance(): boolean {
    this.#at = this.seq
    if (this.event !== undefined) this.#index++
    return this.#look()
  }

  #look(): boolean {
    const entry = this.#entries[this.#index]
    const next = entry === undefined ? undefined : placeOf(entry)
    const before = next?.prev ?? this.#rest
    const isLost = before > this.#at
    this.seq = isLost || next === undefined ? before : next.seq
    if (this.seq <= this.#at || this.seq > this.#upto) return false
    this.event = isLost ? undefined : decodeEntry(entry!, 0, this.#epoch, this.name)
    this.bytes = this.event?.bytes ?? 0
    return true
  }
}
