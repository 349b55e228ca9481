import type { Series } from '../merge.ts'
import type { Retention } from '../retention.ts'
import { FAR, FARTHER } from './channels.ts'
import type { Connection } from './driver.ts'

/** What a reader knows of a channel. */
export interface ChannelRow {
  readonly id: number
  readonly name: string
  readonly last: number
  readonly n: number
  readonly tail: number
}

/** An event without its text, which is read only for those that come to be on a page. */
export interface EventPlace {
  readonly seq: number
  readonly prev: number
  readonly n: number
  readonly back: number
  readonly far: number
  readonly farther: number
  readonly at: number
  readonly bytes: number
}

/**
 * The kept events of one channel. They are found from the newest one back, by pointers from each to the one before it, to
 * the last multiple of 64 before it, and of 4,096: some hundred steps for any position among millions.
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

  /** The oldest event after a position. */
  firstAfter(after: number): EventPlace | undefined {
    let found: EventPlace | undefined
    /** What is not after this is not to be found. */
    let floor = after
    const step = (seq: number): boolean => {
      if (seq <= floor) return false
      const event = this.#visible(seq)
      // Nor is anything before what is gone.
      if (event === undefined) floor = seq
      else found = event
      return event !== undefined
    }
    step(this.#channel.tail)
    while (found !== undefined && (step(found.farther) || step(found.far) || step(found.back)));
    return found
  }

  /** Events from a number on, at most so many. The first is there. */
  from(n: number, count: number): EventPlace[] {
    const last = Math.min(n + count - 1, this.#channel.n)
    let event = this.#find(this.#channel.tail)!
    while (event.n > last) {
      if (multipleBefore(event.n, FARTHER) >= last) event = this.#find(event.farther)!
      else if (multipleBefore(event.n, FAR) >= last) event = this.#find(event.far)!
      else event = this.#find(event.back)!
    }
    const events = [event]
    while (event.n > n) {
      event = this.#find(event.back)!
      events.push(event)
    }
    return events.reverse()
  }

  /** The newest events after a position, newest first, at most so many. */
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

  /** An event that retention keeps, deleted or not what it does not. */
  #visible(seq: number): EventPlace | undefined {
    const event = this.#find(seq)
    return event !== undefined && event.n >= this.#oldest && event.at >= this.#since ? event : undefined
  }
}

function multipleBefore(n: number, of: number): number {
  return n - 1 - ((n - 1) % of)
}

/** One channel from a position on: its events, and a loss wherever the one before is not the one that was there. */
export class ChannelSeries implements Series<EventPlace> {
  readonly name: string
  readonly #channel: ChannelRow
  readonly #events: ChannelEvents
  readonly #chunk: number
  /** Up to here everything has been read or told as lost. */
  #at: number
  #ahead: readonly EventPlace[]
  #index = 0
  seq = 0
  event: EventPlace | undefined
  bytes = 0

  /** `after` is before the last event of the channel. Events are fetched by `chunk`. */
  constructor(channel: ChannelRow, events: ChannelEvents, after: number, chunk: number) {
    this.name = channel.name
    this.#channel = channel
    this.#events = events
    this.#chunk = chunk
    this.#at = after
    const first = events.firstAfter(after)
    this.#ahead = first === undefined ? [] : events.from(first.n, chunk)
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

/** What nothing is known of but that it may have lost events: a channel that was forgotten, or a pattern. */
export class LostSeries implements Series<never> {
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

/** Finds the place of an event by its `seq`. */
export function finder(db: Connection): (seq: number) => EventPlace | undefined {
  const statement = db.prepare('SELECT seq, prev, n, back, far, farther, at, bytes FROM event WHERE seq = ?')
  return (seq) => statement.get(seq) as unknown as EventPlace | undefined
}
