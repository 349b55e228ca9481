/** What went wrong, over all connections. */
export interface Faults {
  lost: number
  duplicated: number
  reordered: number
  /** Numbers that this connection should never have seen. */
  stray: number
}

/** More than are ever in flight. */
const RING = 1 << 16

/** Counts, for every event in flight, the subscribers that have not received it yet. */
export class Board {
  readonly faults: Faults = { lost: 0, duplicated: 0, reordered: 0, stray: 0 }
  readonly #expected = new Int32Array(RING)
  readonly #left = new Int32Array(RING)
  readonly #late = new Int32Array(RING)
  readonly #sentAt = new Float64Array(RING)
  #complete: () => void = () => {}
  /** Whether the numbers are the order of publishing. Events that are published at the same time may arrive in any order. */
  ordered = true
  /** Events that some subscriber has not received yet. */
  underWay = 0
  /** First deliveries, ever. */
  delivered = 0
  /** Receives the time of every delivery, if set. */
  latencies: number[] | undefined

  expect(n: number, subscribers: number): void {
    const at = n % RING
    this.#expected[at] = subscribers
    this.#left[at] = subscribers
    this.#late[at] = 0
    this.#sentAt[at] = performance.now()
    this.underWay++
  }

  /** Hears of every event that all subscribers have got. */
  onComplete(listener: () => void): void {
    this.#complete = listener
  }

  deliver(n: number): void {
    const at = n % RING
    this.delivered++
    if (this.latencies !== undefined) this.latencies.push(performance.now() - this.#sentAt[at]!)
    if (--this.#left[at]! > 0) return
    this.#judge(at)
    this.underWay--
    this.#complete()
  }

  /** It comes after one with a higher number. */
  deliverLate(n: number): void {
    this.#late[n % RING]!++
    this.deliver(n)
  }

  /** Stops waiting for events. */
  clear(): void {
    for (let at = 0; at < RING && this.underWay > 0; at++) {
      if (this.#left[at] === 0) continue
      this.#judge(at)
      this.#left[at] = 0
      this.underWay--
    }
  }

  /** Without a given order, most of the subscribers are right. */
  #judge(at: number): void {
    const late = this.#late[at]!
    this.faults.reordered += this.ordered ? late : Math.min(late, this.#expected[at]! - late)
  }
}

/**
 * What one connection has got of its channel, whose numbers are `step` apart. A number that comes after a higher one is
 * late, one that came before is duplicated, and one that never comes is lost.
 */
export class Sequence {
  readonly #board: Board
  readonly #step: number
  readonly #missing = new Set<number>()
  #next: number

  constructor(board: Board, first: number, step: number) {
    this.#board = board
    this.#next = first
    this.#step = step
  }

  arrive(n: number): void {
    if (n !== this.#next) return this.#irregular(n)
    this.#next = n + this.#step
    this.#board.deliver(n)
  }

  /** Everything up to `last` should be here. */
  settle(last: number): void {
    const { faults } = this.#board
    for (; this.#next <= last; this.#next += this.#step) faults.lost++
    faults.lost += this.#missing.size
    this.#missing.clear()
  }

  #irregular(n: number): void {
    const { faults } = this.#board
    if ((n - this.#next) % this.#step !== 0) {
      faults.stray++
    } else if (n > this.#next) {
      for (; this.#next < n; this.#next += this.#step) this.#missing.add(this.#next)
      this.#next = n + this.#step
      this.#board.deliver(n)
    } else if (this.#missing.delete(n)) {
      this.#board.deliverLate(n)
    } else {
      faults.duplicated++
    }
  }
}
