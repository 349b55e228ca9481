import type { Loss, PageLimit } from './broker.ts'
import { Heap } from './heap.ts'

/** The items of one channel after a position: its events, and a loss where events are missing. */
export interface Series<T> {
  /** The channel; or the pattern of a loss. */
  readonly name: string
  /** The `seq` of the next item. */
  readonly seq: number
  /** The next item, unless it is a loss. */
  readonly event: T | undefined
  readonly bytes: number
  /** Moves to the next item; false if there is none. */
  advance(): boolean
}

/** One loss: of a forgotten channel, or of a pattern. Nothing else is known of it. */
export class Lost implements Series<never> {
  readonly name: string
  readonly seq: number
  readonly event = undefined
  readonly bytes = 0

  constructor(name: string, seq: number) {
    this.name = name
    this.seq = seq
  }

  advance(): boolean {
    return false
  }
}

/** A page of items and the position that it reaches. The broker adds the other fields of a `Page`. */
export interface Merged<T> {
  readonly items: readonly (T | Loss)[]
  /** Complete for the merged series up to here. */
  readonly upto: number
  /** Whether no item follows. */
  readonly end: boolean
}

/**
 * Merges series, each with an item, into one page in the order of the log. `end` is the last `seq` of the log. The rest of
 * `series` afterwards is the start of the next page. A page costs little more than a look at each series, however many there are.
 * With `bound`, other series have items from there on, and the page ends before it.
 */
export function mergePage<T extends object>(
  series: Series<T>[],
  after: number,
  end: number,
  max: PageLimit,
  bound = Number.POSITIVE_INFINITY,
): Merged<T> {
  const heap = new Heap(series, (one, other) => one.seq < other.seq)
  const items: (T | Loss)[] = []
  let bytes = 0
  let upto = after
  for (let next = heap.first; next !== undefined; next = heap.first) {
    const { seq, event } = next
    if (seq >= bound) break
    if (event === undefined && seq === upto && items.length > 0) {
      // Channels that lost events up to the same place share one loss: two losses with one position could be separated
      // by a page.
      ;(items.at(-1) as { channels: string[] }).channels.push(next.name)
    } else {
      bytes += event === undefined ? 0 : next.bytes
      if (items.length > 0 && (items.length >= max.events || bytes > max.bytes)) return { items, upto, end: false }
      items.push(event ?? { seq, channels: [next.name] })
      upto = seq
    }
    if (next.advance()) heap.delayFirst()
    else heap.removeFirst()
  }
  return bound === Number.POSITIVE_INFINITY ? { items, upto: end, end: true } : { items, upto, end: false }
}

/** The index of the first item from `from` on whose `seq` is after `seq`, in an array that is ascending by it. */
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
