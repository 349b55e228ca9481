import type { Connection, Driver, SqlValue } from './driver.ts'
import { LogProblem } from './failure.ts'

/** The way in which commits reach the disk. */
export type Durability = 'full' | 'normal'

/** Marks a database as a log of this package: `SSEH`. */
const APPLICATION_ID = 0x53534548
/** The version of the tables. */
const FORMAT = 2

/** Limits of single entries of `history.channels`. Their indexes hold nothing where there are none. */
const ENTRIES = `
-- One row for each entry of history.channels, and one for all other channels.
CREATE TABLE entry (
  id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  name    TEXT NOT NULL UNIQUE, -- a name or a pattern; empty for all other channels
  place   INTEGER NOT NULL, -- their order in the options
  floor   INTEGER NOT NULL, -- the last event of any of its channels that was forgotten
  bytes   INTEGER NOT NULL  -- of the rows of event whose quota it is
) STRICT;
CREATE INDEX channel_quota ON channel (quota, last) WHERE quota IS NOT NULL;
CREATE INDEX event_quota ON event (quota, seq) WHERE quota IS NOT NULL;
`

const TABLES = `
-- One row. Changes with every commit.
CREATE TABLE hub (
  id      INTEGER PRIMARY KEY CHECK (id = 0),
  seq     INTEGER NOT NULL, -- the end of the log
  time    INTEGER NOT NULL, -- of the last commit; never goes back
  rows    INTEGER NOT NULL, -- of event
  bytes   INTEGER NOT NULL, -- of those rows
  expired_rows INTEGER NOT NULL, -- how many of those rows have expired, at most
  exceptions TEXT,          -- of the last append: see Exceptions
  fence   INTEGER NOT NULL  -- counts the times that it was opened for writing
) STRICT;
-- One row for each life of the log from which a position was given out. The newest is the current one.
CREATE TABLE epoch (
  n       INTEGER PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE,
  last    INTEGER           -- its end; NULL while it lasts
) STRICT;
CREATE TABLE channel (
  id      INTEGER PRIMARY KEY, -- the seq of its first event, so that it is never used again
  name    TEXT NOT NULL UNIQUE,
  last    INTEGER NOT NULL, -- the seq of its last event, kept or not
  at      INTEGER NOT NULL, -- when that came
  n       INTEGER NOT NULL, -- how many of its events have ever been kept
  tail    INTEGER NOT NULL, -- the seq of the last of them
  tail16  INTEGER NOT NULL, -- the seq of the last of them whose number is a multiple of 16
  tail256 INTEGER NOT NULL,
  tail4096 INTEGER NOT NULL,
  keep    INTEGER NOT NULL, -- how many of them its retention shows
  age     INTEGER NOT NULL, -- and how old they are at most
  quota   INTEGER           -- its entry, if that limits the number of its channels
) STRICT;
CREATE INDEX channel_last ON channel (last);
-- A log is written at its end and deleted at its beginning. There is no index by channel: see ChannelEvents.
CREATE TABLE event (
  seq     INTEGER PRIMARY KEY,
  channel INTEGER NOT NULL,
  prev    INTEGER NOT NULL, -- the seq of the event before it in its channel
  n       INTEGER NOT NULL, -- counts the kept events of its channel, from 1 and without holes
  back    INTEGER NOT NULL, -- the seq of number n - 1
  back16  INTEGER NOT NULL, -- the seq of the last number before n that is a multiple of 16
  back256 INTEGER NOT NULL,
  back4096 INTEGER NOT NULL,
  at      INTEGER NOT NULL, -- when it came
  bytes   INTEGER NOT NULL, -- of its encoded text
  json    INTEGER NOT NULL,
  type    TEXT,
  key     ANY,              -- its conflation key; a BLOB when there is a NUL in it
  data    ANY NOT NULL,     -- a BLOB when there is a NUL in it
  quota   INTEGER           -- its entry, if that limits its bytes
) STRICT;
-- Idempotency keys, oldest first.
CREATE TABLE idempotency (
  n       INTEGER PRIMARY KEY,
  key     TEXT NOT NULL UNIQUE,
  digest  TEXT NOT NULL,
  epoch   TEXT NOT NULL,
  seq     INTEGER NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
INSERT INTO hub VALUES (0, 0, 0, 0, 0, 0, NULL, 0);
${ENTRIES}`

/** Makes a log of format 1 one of this format: every name could have been forgotten up to its one floor. */
const FROM_FORMAT_1 = `
ALTER TABLE channel ADD COLUMN quota INTEGER;
ALTER TABLE event ADD COLUMN quota INTEGER;
${ENTRIES}
INSERT INTO entry (name, place, floor, bytes) SELECT '', -1, floor, 0 FROM hub;
ALTER TABLE hub DROP COLUMN floor;
ALTER TABLE hub RENAME COLUMN hidden TO expired_rows;
ALTER TABLE hub RENAME COLUMN special TO exceptions;
`

/** Opens the connection that writes. Creates the log if the file does not exist; throws if the file is not a log. */
export function openForWriting(driver: Driver, file: string, durability: Durability): Connection {
  return opened(driver, file, (db) => {
    // Before any statement that would change a third-party database.
    const format = inspect(db, [1, FORMAT])
    if (pragma(db, 'journal_mode = WAL') !== 'wal') {
      throw new LogProblem('The file system of the log cannot hold a write-ahead log: use a local disk.')
    }
    db.exec(`PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'}`)
    // A checkpoint writes 16 MiB: rare enough to cost little, and short enough that no commit waits long for it.
    db.exec('PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384')
    if (format === FORMAT) return
    const marks = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT};`
    db.exec(`BEGIN IMMEDIATE; ${format === undefined ? TABLES : FROM_FORMAT_1} ${marks} COMMIT`)
  })
}

/** Opens a connection that only reads, to an existing log. */
export function openForReading(driver: Driver, file: string): Connection {
  return opened(driver, file, (db) => {
    inspect(db, [FORMAT])
    db.exec('PRAGMA query_only = ON; PRAGMA cache_size = -16384')
  })
}

function opened(driver: Driver, file: string, prepare: (db: Connection) => void): Connection {
  const db = open(driver, file)
  try {
    db.exec('PRAGMA busy_timeout = 5000')
    prepare(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Some errors of a driver say only that a file cannot be opened: this adds SQLite's code. */
export function open(driver: Driver, file: string): Connection {
  try {
    return driver.open(file)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw Object.assign(new Error(error.message, { cause: error }), { code: 'SQLITE_CANTOPEN' })
  }
}

/** The format of the log; undefined when the database is empty. Throws when it is none of `formats`. */
function inspect(db: Connection, formats: readonly number[]): number | undefined {
  const id = pragma(db, 'application_id')
  const format = pragma(db, 'user_version')
  const { tables } = db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
  if (tables === 0 && id === 0) return undefined
  if (id !== APPLICATION_ID) throw new LogProblem('The file of the log is a database of another program.')
  if (!formats.includes(format as number)) {
    throw new LogProblem(
      `The file of the log has format ${format}; this version of express-sse-hub supports ${FORMAT}.`,
    )
  }
  return format as number
}

function pragma(db: Connection, text: string): SqlValue | undefined {
  return Object.values(db.prepare(`PRAGMA ${text}`).get() ?? {})[0]
}
