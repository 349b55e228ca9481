import type { Cursor } from '../../../protocol/cursor.ts'
import { KEY_LIFETIME_MS, MAX_KEYS } from '../../idempotency.ts'
import type { Connection } from './driver.ts'

/** The number of rows allowed beyond the newest 100,000: they are deleted in bulk. */
const SLACK = 2_000

export interface KnownKey {
  readonly digest: string
  readonly id: Cursor
}

/** The idempotency keys of a log, in its file: a repeat is recognised after a restart. */
export class Keys {
  readonly #statements: ReturnType<typeof prepare>
  /** The range of row numbers: the oldest and the newest row. */
  #first = 1
  #last = 0

  constructor(db: Connection) {
    this.#statements = prepare(db)
  }

  reload(): void {
    const { first, last } = this.#statements.bounds.get() as { first: number | null; last: number | null }
    this.#first = first ?? 1
    this.#last = last ?? 0
  }

  /** The event that was published with this key, if the log remembers it. */
  find(key: string, time: number): KnownKey | undefined {
    const row = this.#statements.find.get(key, this.#last - MAX_KEYS, time - KEY_LIFETIME_MS)
    if (row === undefined) return undefined
    const { digest, epoch, seq } = row as { digest: string; epoch: string; seq: number }
    return { digest, id: { epoch, seq } }
  }

  add(key: string, digest: string, { epoch, seq }: Cursor, time: number): void {
    this.#statements.add.run(++this.#last, key, digest, epoch, seq, time)
    if (this.#last - this.#first >= MAX_KEYS + SLACK) this.#dropUpTo(this.#last - MAX_KEYS)
  }

  /** Deletes expired keys, at most `most` of them. Returns whether there may be more. */
  dropOld(time: number, most: number): boolean {
    const { last } = this.#statements.old.get(most, time - KEY_LIFETIME_MS) as { last: number | null }
    if (last === null) return false
    const all = last - this.#first + 1
    this.#dropUpTo(last)
    return all >= most
  }

  #dropUpTo(n: number): void {
    this.#statements.drop.run(n)
    this.#first = n + 1
  }
}

function prepare(db: Connection) {
  return {
    bounds: db.prepare('SELECT min(n) AS first, max(n) AS last FROM idempotency'),
    find: db.prepare('SELECT digest, epoch, seq FROM idempotency WHERE key = ? AND n > ? AND at > ?'),
    // An expired row with the same key is replaced.
    add: db.prepare('INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)'),
    old: db.prepare('SELECT max(n) AS last FROM (SELECT n, at FROM idempotency ORDER BY n LIMIT ?) WHERE at <= ?'),
    drop: db.prepare('DELETE FROM idempotency WHERE n <= ?'),
  }
}
