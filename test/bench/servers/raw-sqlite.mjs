import Database from 'better-sqlite3'
import { logFile } from './log-file.mjs'
import { cost, serve, TEXT } from './measures.mjs'

/**
 * The same by hand: the rows of the broker, with its pragmas, in one prepared statement and one transaction for each
 * batch. No thread, no promise, no channel, no retention, no subscriber.
 */
const CHANNELS = 100

const db = new Database(logFile())
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.pragma('wal_autocheckpoint = 4000')
db.pragma('cache_size = -16384')
db.exec(`CREATE TABLE event (
  seq INTEGER PRIMARY KEY, channel INTEGER NOT NULL, prev INTEGER NOT NULL, n INTEGER NOT NULL, back INTEGER NOT NULL,
  back16 INTEGER NOT NULL, back256 INTEGER NOT NULL, back4096 INTEGER NOT NULL, at INTEGER NOT NULL,
  bytes INTEGER NOT NULL, json INTEGER NOT NULL, type TEXT, key ANY, data ANY NOT NULL
) STRICT`)
const insert = db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
let seq = 0

function insertBatch(batch) {
  db.exec('BEGIN IMMEDIATE')
  const at = Date.now()
  for (let i = 0; i < batch; i++) {
    seq++
    const prev = Math.max(0, seq - CHANNELS)
    const n = Math.floor(seq / CHANNELS)
    insert.run(seq, seq % CHANNELS, prev, n, prev, prev, prev, prev, at, TEXT.length, 0, null, null, TEXT)
  }
  db.exec('COMMIT')
}

function insertFor(ms, batch) {
  let n = 0
  for (const end = performance.now() + ms; performance.now() < end; n += batch) insertBatch(batch)
  return n
}

serve({
  async publish({ batch, warmMs, ms }) {
    insertFor(warmMs, batch)
    return { ...(await cost(() => insertFor(ms, batch))), batch }
  },
})
