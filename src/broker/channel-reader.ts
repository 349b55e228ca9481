import { firstAfter, type Series } from './merge.ts'
import type { ChannelLog } from './retention-group.ts'
import type { StoredEvent } from './stored-event.ts'

/** Reads one channel from a position on: its events, and a loss wherever the previous event is missing. */
export class ChannelReader implements Series<StoredEvent> {
  readonly name: string
  readonly #log: ChannelLog
  /** Everything up to here has been read or reported as lost. */
  #at: number
  #index: number
  seq = 0
  event: StoredEvent | undefined
  bytes = 0

  /** `after` is before the last event of the channel. */
  constructor(log: ChannelLog, after: number) {
    this.name = log.name
    this.#log = log
    this.#at = after
    this.#index = indexAfter(log, after)
    this.#look()
  }

  advance(): boolean {
    this.#at = this.seq
    if (this.event !== undefined) this.#index++
    return this.#look()
  }

  #look(): boolean {
    const next = this.#log.kept[this.#index]
    const before = next?.event.prev ?? this.#log.last
    this.event = before > this.#at ? undefined : next?.event
    this.bytes = next?.bytes ?? 0
    this.seq = this.event?.seq ?? before
    return this.seq > this.#at
  }
}

/** The `seq` of the first item of a channel after a position that is before its last event. */
export function nextSeq(log: ChannelLog, after: number): number {
  const next = log.kept[indexAfter(log, after)]
  const before = next?.event.prev ?? log.last
  return before > after ? before : next!.event.seq
}

function indexAfter({ kept, head }: ChannelLog, after: number): number {
  const oldest = kept[head]
  // The most frequent case in a read over many channels.
  if (oldest === undefined || oldest.event.seq > after) return head
  return firstAfter(kept, head, after, (one) => one!.event.seq)
}
