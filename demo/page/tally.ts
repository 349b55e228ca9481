/** What became of consecutive numbers on their way. */
export interface Counts {
  received: number
  replayed: number
  duplicated: number
  lost: number
  gaps: number
}

/** Counts numbers as they arrive. A missing number without a gap is a loss. */
export class Tally {
  readonly counts: Counts = { received: 0, replayed: 0, duplicated: 0, lost: 0, gaps: 0 }
  #last: number | undefined
  #gapTold = false

  /** `publishedBefore`: the last number that was published before the connection; numbers up to it are a replay. */
  number(n: number, publishedBefore: number): 'live' | 'replayed' | 'duplicated' {
    const { counts } = this
    if (this.#gapTold) {
      // The missing numbers were reported, and a new log restarts the count.
      this.#gapTold = false
      this.#last = undefined
    }
    if (this.#last !== undefined && n <= this.#last) {
      counts.duplicated++
      return 'duplicated'
    }
    counts.received++
    if (this.#last !== undefined) counts.lost += n - this.#last - 1
    this.#last = n
    if (n > publishedBefore) return 'live'
    counts.replayed++
    return 'replayed'
  }

  gap(): void {
    this.counts.gaps++
    this.#gapTold = true
  }
}
