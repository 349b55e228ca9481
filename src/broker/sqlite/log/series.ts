import type { Series } from '../../merge.ts'
import type { Retention } from '../../retention.ts'
import type { Connection } from './driver.ts'

/** The state of a channel, as a reader sees it. */
export interface ChannelRow {
  readonly id: number
  readonly name: string
  readonly last: number
  readonly n: number
  readonly tail: number
}

/** An event without its text, which is read only for the events of a page. */
export interface EventPlace {
  readonly seq: number
  readonly prev: number
  readonly n: number
  readonly back: number
  readonly back16: number
  readonly back256: number
  readonly back4096: number
  readonly at: number
  readonly bytes: number
}

/** A row has been deleted since an earlier page of the same series. */
export class Deleted extends Error {}

/**
 * The kept events of one channel. A search starts at the newest event and goes back, because each event points to
 * earlier ones of its channel: to the previous one (`back`), and to the last ones before it whose numbers `n` are
 * multiples of 16, of 256 and of 4,096. Number 530 of a channel, whose `tail` points to its newest event:
 *
 *     back4096                                  0 (none)
 *     back256                                  512 <---------------- 530
 *     back16                                       528 <------------ 530
 *     back                                               529 <------ 530 <- tail
 *
 * Any position among a million events is at most some dozen steps away. An index `(channel, seq)` would be simpler, but
 * it cost two thirds of the throughput of appends in a measurement: with it each commit writes to places all over the
 * file, and with the pointers only to its end.
 */
export class ChannelEvents {
  readonly #find: (seq: number) => EventPlace | undefined
  readonly #channel: ChannelRow
  readonly #oldest: number
  readonly #since: number

  constructor(find: (seq: number) => EventPlace | undefined, channel: ChannelRow, retention: Retention, time: number) {
    this.#find = find
    this.#channel = channel
    this.#oldest = channel.n - retention.maxEvents + 1
    this.#since = time - retention.maxAgeMs
  }

  /** The oldest events after a position, at most `count`. */
  after(position: number, count: number): EventPlace[] {
    const path = this.#pathTo(position)
    const first = path.at(-1)
    return first === undefined ? [] : this.#forward(path, first.n, count)
  }

  /** The events from number `n` on, at most `count`. The first one must exist. */
  from(n: number, count: number): EventPlace[] {
    return this.#forward([this.#there(this.#channel.tail)], n, count)
  }

  /** The events on the way from the newest event to the oldest one after a position. */
  #pathTo(position: number): EventPlace[] {
    const path: EventPlace[] = []
    /** Lower bound of the search. */
    let floor = position
    const step = (seq: number): boolean => {
      if (seq <= floor) return false
      const event = this.#visible(seq)
      // Everything before a trimmed event is trimmed too.
      if (event === undefined) floor = seq
      else path.push(event)
      return event !== undefined
    }
    step(this.#channel.tail)
    for (let at = path[0]; at !== undefined; at = path.at(-1)) {
      if (!(step(at.back4096) || step(at.back256) || step(at.back16) || step(at.back))) break
    }
    return path
  }

  /** The events from number `n` on. The path must lead beyond the last of them, or to one after it. */
  #forward(path: readonly EventPlace[], n: number, count: number): EventPlace[] {
    const last = Math.min(n + count - 1, this.#channel.n)
    let event = path.findLast((event) => event.n >= last)!
    while (event.n > last) event = this.#there(jumpTowards(event, last))
    const events = [event]
    while (event.n > n) {
      event = this.#there(event.back)
      events.push(event)
    }
    return events.reverse()
  }

  #there(seq: number): EventPlace {
    const event = this.#find(seq)
    if (event === undefined) throw new Deleted()
    return event
  }

  /** The newest events after a position, newest first, at most `count`. */
  newest(after: number, count: number): EventPlace[] {
    const events: EventPlace[] = []
    for (let seq = this.#channel.tail; seq > after && events.length < count; ) {
      const event = this.#visible(seq)
      if (event === undefined) break
      events.push(event)
      seq = event.back
    }
    return events
  }

  /** An event, if retention keeps it. An expired row counts as deleted. */
  #visible(seq: number): EventPlace | undefined {
    const event = this.#find(seq)
    return event !== undefined && event.n >= this.#oldest && event.at >= this.#since ? event : undefined
  }
}

/** The longest step back from an event that does not pass number `n`. */
function jumpTowards({ n: from, back, back16, back256, back4096 }: EventPlace, n: number): number {
  if (multipleBefore(from, 4096) >= n) return back4096
  if (multipleBefore(from, 256) >= n) return back256
  return multipleBefore(from, 16) >= n ? back16 : back
}

function multipleBefore(n: number, of: number): number {
  return n - 1 - ((n - 1) % of)
}

/** One channel from a position on: its events, and a loss wherever the previous event is missing. */
export class ChannelSeries implements Series<EventPlace> {
  readonly name: string
  readonly #channel: ChannelRow
  readonly #events: ChannelEvents
  readonly #chunk: number
  /** Everything up to here has been read or reported as lost. */
  #at: number
  #ahead: readonly EventPlace[]
  #index = 0
  seq = 0
  event: EventPlace | undefined
  bytes = 0

  /** `after` must be before the last event of the channel. Events are fetched in chunks. */
  constructor(channel: ChannelRow, events: ChannelEvents, after: number, chunk: number) {
    this.name = channel.name
    this.#channel = channel
    this.#events = events
    this.#chunk = chunk
    this.#at = after
    this.#ahead = events.after(after, chunk)
    this.#look()
  }

  advance(): boolean {
    this.#at = this.seq
    if (this.event !== undefined) this.#next(this.event)
    return this.#look()
  }

  #next({ n }: EventPlace): void {
    if (++this.#index < this.#ahead.length) return
    this.#ahead = n === this.#channel.n ? [] : this.#events.from(n + 1, this.#chunk)
    this.#index = 0
  }

  #look(): boolean {
    const next = this.#ahead[this.#index]
    const before = next?.prev ?? this.#channel.last
    this.event = before > this.#at ? undefined : next
    this.bytes = next?.bytes ?? 0
    this.seq = this.event?.seq ?? before
    return this.seq > this.#at
  }
}

/** Returns a function that finds the place of an event by its `seq`. */
export function finder(db: Connection): (seq: number) => EventPlace | undefined {
  const statement = db.prepare(
    'SELECT seq, prev, n, back, back16, back256, back4096, at, bytes FROM event WHERE seq = ?',
  )
  return (seq) => statement.get(seq) as unknown as EventPlace | undefined
}
