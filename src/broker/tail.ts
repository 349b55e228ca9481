import { encodedLength } from '../protocol/frame.ts'
import type { PageLimit, Selector, StoredEvent } from './broker.ts'
import type { Merged } from './merge.ts'

const MAX_EVENTS = 10_000
const MAX_BYTES = 16 * 1024 * 1024

export type Excerpt = Merged<StoredEvent>

/** The bytes that an event counts for in limits and retention: its text, without the few of its ID. */
export function sizeOf(event: StoredEvent): number {
  return encodedLength(event.fields)
}

/**
 * The newest events of all channels, in one row, whatever retention says: 10,000 events or 16 MiB. Who is only a little
 * behind is served from here at once, with the same frames that went to everybody else.
 */
export class Tail {
  /** Rising by `seq`; the first `#head` places are free. */
  #events: StoredEvent[] = []
  #head = 0
  #bytes = 0
  /** Everything after this `seq` is here. */
  #floor: number

  constructor(floor = 0) {
    this.#floor = floor
  }

  append(event: StoredEvent): void {
    this.#events.push(event)
    this.#bytes += sizeOf(event)
    while (this.#events.length - this.#head > MAX_EVENTS || this.#bytes > MAX_BYTES) {
      const oldest = this.#events[this.#head]!
      this.#floor = oldest.seq
      this.#bytes -= sizeOf(oldest)
      this.#events[this.#head++] = undefined!
    }
    // Moving the rest up costs nothing on average when it is done once for every half.
    if (this.#head > 1_000 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head)
      this.#head = 0
    }
  }

  /** Forgets everything: what is known begins after `floor`. */
  reset(floor: number): void {
    this.#events = []
    this.#head = 0
    this.#bytes = 0
    this.#floor = floor
  }

  /** What is after `after` and up to `top`; undefined when some of it may be gone. */
  read(after: number, top: number, selector: Selector, max: PageLimit): Excerpt | undefined {
    if (after < this.#floor) return undefined
    const items: StoredEvent[] = []
    let bytes = 0
    for (let i = firstAfter(this.#events, this.#head, after, seqOf); i < this.#events.length; i++) {
      const event = this.#events[i]!
      if (!selector.matches(event.channel)) continue
      bytes += sizeOf(event)
      if (items.length > 0 && (items.length >= max.events || bytes > max.bytes)) {
        return { items, upto: items.at(-1)!.seq, end: false }
      }
      items.push(event)
    }
    return { items, upto: top, end: true }
  }
}

function seqOf(event: StoredEvent): number {
  return event.seq
}

/** The index of the first item from `from` on whose `seq` is after `seq`, in an array that rises by it. */
export function firstAfter<T>(items: readonly T[], from: number, seq: number, of: (item: T) => number): number {
  let low = from
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (of(items[middle]!) > seq) high = middle
    else low = middle + 1
  }
  return low
}
