import { describe, expect, it } from 'vitest'
import { documentAt, sourceOf } from './documents.ts'

describe('the table of limits', () => {
  /** For each row: a source file, and texts in it that have the same figures. */
  const IN_SOURCE: Record<string, readonly [file: string, ...text: string[]]> = {
    'Channel name': ['channel-name.ts', 'MAX_LENGTH = 200'],
    'Event ID of your own': ['protocol/fields.ts', '{1,128}$/'],
    'Idempotency key': ['hub/publisher.ts', '[\\x20-\\x7e]{1,200}'],
    'Idempotency keys remembered': ['broker/idempotency.ts', 'KEY_LIFETIME_MS = 600000', 'MAX_KEYS = 100000'],
    'Conflation key': ['hub/publisher.ts', '{1,200}$/su'],
    'Encoded event': ['hub/options.ts', "'maxEventBytes', options.maxEventBytes, 1048576"],
    'Request body': ['express/router-options.ts', "'maxBodyBytes', given.maxBodyBytes, 1048576"],
    Batch: ['hub/publisher.ts', 'MAX_BATCH_EVENTS = 1000', 'MAX_BATCH_BYTES = 1048576'],
    'Channels of a subscription': ['hub/options.ts', 'maxChannelsPerSubscription, 64'],
    Rewind: ['hub/reads.ts', 'REWIND: PageLimit = { events: 1000, bytes: 1048576 }'],
    'History of a channel': ['broker/retention.ts', 'HOUR_MS = 3600000', '{ maxEvents: 1000, maxAgeMs: HOUR_MS }'],
    'History of a hub': ['broker/retention.ts', 'options.maxBytes, 67108864'],
    'Largest event that is kept': ['broker/retention.ts', 'LARGEST_PART = 16'],
    'Channel names remembered': ['broker/retention.ts', 'options.maxChannels, 100000'],
    'Newest events in memory for subscribers a little behind': [
      'hub/log-tail.ts',
      'MAX_EVENTS = 10000',
      '16 * 1024 * 1024',
    ],
    'Commit of a SQLite log': ['broker/sqlite/commit-queue.ts', 'MAX_EVENTS = 1000', 'MAX_BYTES = 1048576'],
    'Bytes that wait for the disk of a SQLite log': ['broker/sqlite/commit-queue.ts', 'MAX_WAITING_BYTES = 67108864'],
    'Lives of a SQLite log remembered': ['broker/sqlite/log/epochs.ts', 'MAX_EPOCHS = 4096'],
    'Wait for another broker to release a SQLite log': ['broker/sqlite/log/lock.ts', 'PATIENCE_MS = 1000'],
    'Write-ahead log of a SQLite log': ['broker/sqlite/log/schema.ts', 'wal_autocheckpoint = 4000'],
    'Page of a replay': ['hub/reads.ts', 'PAGE: PageLimit = { events: 250, bytes: 65536 }'],
    'Reads of the log at a time': ['hub/reads.ts', 'MAX_IN_FLIGHT = 16'],
    "Replay before the next subscriber's turn": ['hub/pump.ts', 'ROUND_BYTES = 2 * 1024 * 1024', 'ROUND_MS = 5'],
    'Bytes that wait for the peer of a hub stream': ['hub/options.ts', 'MIN_HIGH_WATER_MARK = 65536'],
    'No progress of a lagging subscriber': ['hub/options.ts', 'options.maxLagMs, 30000'],
    'Bytes that wait for the peer of a plain stream': ['stream/options.ts', '1048576'],
    'First page from the broker': ['hub/opening.ts', 'FIRST_PAGE_MS = 5000'],
    '`subscribe` function for a channel of a pattern': [
      'hub/guard.ts',
      'TIME_LIMIT_MS = 10000',
      'MAX_DECISIONS = 1000',
    ],
    'Snapshot function, and its list': ['state/snapshots.ts', 'TIME_LIMIT_MS = 10000'],
    'Snapshot of a channel': ['state/snapshots.ts', 'EVENTS_OF_SPACE = 8'],
    'Channels of a list of snapshots': ['state/registrations.ts', 'channels.length > 1000'],
    'Snapshot functions in progress': ['state/answers.ts', 'MAX_RUNNING = 16'],
    'Rest of an ended stream, until its connection is cut': ['stream/ending.ts', 'LINGER_MS = 5000'],
    'Reconnection time': ['protocol/fields.ts', 'MIN_RECONNECTION_TIME = 500', 'MAX_RECONNECTION_TIME = 3600000'],
    '`Retry-After` of a 503': ['express/problem.ts', '2 + Math.floor(Math.random() * 4)'],
    'Streams ended per second at a shutdown, at least': ['hub/shutdown.ts', 'MIN_PER_SECOND = 500'],
  }

  const [, ...rows] = documentAt('src/README.md').rows('Limits')

  it.each(rows)('has the row %s as the sources have it', (name, limit) => {
    expect(Object.keys(IN_SOURCE)).toContain(name)
    const [file, ...texts] = IN_SOURCE[name!]!
    const source = sourceOf(file)
    for (const text of texts) expect(source).toContain(text)
    // And the numbers of the row are those of the text.
    const figures = texts
      .join(' ')
      .replace(/= 600000\b/, '10 minutes')
      .replace('HOUR_MS = ', '')
      .replaceAll(/1024( \* 1024)?/g, '')
    const numbers = limit!.replaceAll(/(?<=\d),(?=\d{3})/g, '').match(/\d+/g) ?? ['16']
    if (name !== '`Retry-After` of a 503') for (const number of numbers) expect(figures).toContain(number)
  })

  it('has every row', () => {
    expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(IN_SOURCE)))
  })
})
