import type { Cursor } from '../../protocol/cursor.ts'

/**
 * How far a node knows that the log reached, by any answer or message. A log that holds less of the same epoch has lost
 * events, even if its server says nothing: every script that writes compares the two.
 */
export class Seen {
  #cursor: Cursor | undefined

  get cursor(): Cursor | undefined {
    return this.#cursor
  }

  /** The log has reached this, in its present epoch. */
  add(cursor: Cursor): void {
    if (this.#cursor?.epoch !== cursor.epoch || this.#cursor.seq < cursor.seq) this.#cursor = cursor
  }

  /** The log had reached this, in an epoch that may be over. */
  addOld(cursor: Cursor): void {
    if (this.#cursor?.epoch === cursor.epoch) this.add(cursor)
  }

  /** Whether more was seen of the epoch than a log that ends here. */
  isBeyond({ epoch, seq }: Cursor): boolean {
    return this.#cursor?.epoch === epoch && this.#cursor.seq > seq
  }
}
