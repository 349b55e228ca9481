import type { Loss, PageLimit } from './broker.ts'

/** What one channel holds after a position, item by item: its events, and a loss where some are missing. */
export interface Series<T> {
  /** The channel; or the pattern that something is lost for. */
  readonly name: string
  /** The `seq` of the next item. */
  readonly seq: number
  /** The next item, unless it is a loss. */
  readonly event: T | undefined
  readonly bytes: number
  /** To the next item; false when there is none. */
  advance(): boolean
}

/** A page of items with where it reaches; the rest of a `Page` is the broker's to say. */
export interface Merged<T> {
  readonly items: readonly (T | Loss)[]
  /** Complete for what was merged up to here. */
  readonly upto: number
  /** Whether there is nothing after it. */
  readonly end: boolean
}

/**
 * Series, each with an item, as one page in the order of the log. `end` is the last `seq` of the log. What is left in
 * `series` afterwards is what the next page is made of.
 */
export function mergePage<T extends object>(
  series: Series<T>[],
  after: number,
  end: number,
  max: PageLimit,
): Merged<T> {
  // The next one to read is the last of the array.
  series.sort((a, b) => b.seq - a.seq)
  const items: (T | Loss)[] = []
  let bytes = 0
  let upto = after
  for (let next = series.pop(); next !== undefined; next = series.pop()) {
    const { seq, event } = next
    if (event === undefined && seq === upto && items.length > 0) {
      // Channels that lost up to the same place share one loss: two of one position could be cut apart.
      const { channels } = items.pop() as Loss
      items.push({ seq, channels: [...channels, next.name] })
    } else {
      bytes += event === undefined ? 0 : next.bytes
      if (items.length > 0 && (items.length >= max.events || bytes > max.bytes)) {
        series.push(next)
        return { items, upto, end: false }
      }
      items.push(event ?? { seq, channels: [next.name] })
      upto = seq
    }
    if (next.advance()) insert(series, next)
  }
  return { items, upto: end, end: true }
}

/** Puts a series back where its next item belongs. */
function insert<T>(series: Series<T>[], one: Series<T>): void {
  let low = 0
  let high = series.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (series[middle]!.seq > one.seq) low = middle + 1
    else high = middle
  }
  series.splice(low, 0, one)
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
