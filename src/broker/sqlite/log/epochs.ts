import type { Connection } from './driver.ts'

/** The number of lives that a log remembers: a crash loop of one a second for an hour. */
export const MAX_EPOCHS = 4_096

/**
 * The lives of a log. Each opening is a new one, because the file may be an older copy of itself. A life is remembered
 * from the first position that is given out: an opening without one leaves no trace.
 */
export class Epochs {
  readonly #name: string
  readonly #statements: ReturnType<typeof prepare>
  #remembered = false

  constructor(db: Connection, name: string) {
    this.#name = name
    this.#statements = prepare(db)
  }

  reload(): void {
    this.#remembered = this.#statements.find.get(this.#name) !== undefined
  }

  /** Remembers this life. `end` is the end of the log, at which the previous life ended. */
  remember(end: number): void {
    if (this.#remembered) return
    this.#statements.end.run(end)
    this.#statements.begin.run(this.#name)
    this.#statements.forget.run(MAX_EPOCHS)
    this.#remembered = true
  }
}

function prepare(db: Connection) {
  return {
    find: db.prepare('SELECT n FROM epoch WHERE name = ?'),
    end: db.prepare('UPDATE epoch SET last = ? WHERE last IS NULL'),
    begin: db.prepare('INSERT INTO epoch (name) VALUES (?)'),
    forget: db.prepare('DELETE FROM epoch WHERE n <= (SELECT max(n) FROM epoch) - ?'),
  }
}
