/** A number of places for work in progress. Further work waits in a queue for a free place. */
export class Slots {
  #free: number
  readonly #queue: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run<T>(work: () => T | PromiseLike<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#queue.push(resolve))
    else this.#free--
    try {
      return await work()
    } finally {
      // The next work in the queue takes the place.
      const next = this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
