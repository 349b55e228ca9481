import type { Series } from '../merge.ts'
import type { StoredEvent } from '../stored-event.ts'
import { decodeEntry, placeOf } from './entry.ts'

/** The answer for one channel: its name, its last `seq`, whether the events are complete, the first `prev`. */
export type ChannelReply = readonly [name: string, last: string, complete: number, prev: string, ...entries: string[]]

/** The events of a channel after a position, as far as they were read, and a loss where some are missing. */
export class ChannelSeries implements Series<StoredEvent> {
  readonly name: string
  readonly #epoch: string
  readonly #entries: readonly string[]
  /** The end of its complete answer: later events are not shown, because another channel may have an earlier one. */
  readonly #upto: number
  /** The `seq` after the entries; lost events are reported up to here. */
  readonly #rest: number
  /** Everything up to here has been read or reported as lost. */
  #at: number
  #index = 0
  seq = 0
  event: StoredEvent | undefined
  bytes = 0

  /** `floor`: the end of the losses of an unknown channel, or of a pattern. */
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
