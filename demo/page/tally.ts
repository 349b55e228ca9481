/** What became of consecutive numbers on their way. */
export interface Counts {
  received: number
  replayed: number
  duplicated: number
  lost: number
  gaps: number
}

/** Counts numbers as they arrive. A hole that no gap has told of is a loss. */
export class Tally {
  readonly counts: Counts = { received: 0, replayed: 0, duplicated: 0, lost: 0, gaps: 0 }
  #last: number | undefined
  #gapTold = false

  /** `publishedBefore`: the last number that was published when the connection was made; what comes up to it is a replay. */
  number(n: number, publishedBefore: number): 'live' | 'replayed' | 'duplicated' {
    const { counts } = this
    if (this.#gapTold) {
      // What is missing was told, and a log that has begun anew counts anew.
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
