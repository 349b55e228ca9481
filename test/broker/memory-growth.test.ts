import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

interface Case {
  readonly count: number
  readonly channels: number
  /** What `maxEvents` is for each channel. */
  readonly kept?: number
  readonly text: string
  readonly size: number
  /** Events that are not kept, before each one that is. */
  readonly unkept?: number
  readonly form?: 'plain' | 'envelope'
}

/** Keeps `count` events that a live subscriber has received. Returns the counted bytes and the memory used. */
function growth({ count, channels, kept = 10_000_000, text, size, unkept = 0, form = 'plain' }: Case) {
  const script = `
    import { systemClock } from './src/clock.ts'
    import { History } from './src/broker/history.ts'
    import { resolveHistoryOptions } from './src/broker/retention.ts'
    import { StoredEvent } from './src/broker/stored-event.ts'
    import { newEvent } from './src/hub/publisher.ts'
    const options = { maxBytes: 4e9, maxEvents: ${kept}, maxChannels: 1e6, channels: { noise: { maxEvents: 0 } } }
    const history = new History(resolveHistoryOptions(options), systemClock)
    let seq = 0
    function append(channel, data) {
      const event = new StoredEvent(newEvent(channel, data, undefined, 1e7), 'AAAAAA', ++seq, history.lastOf(channel))
      history.append(event)
      event.frame('${form}')
      event.release()
    }
    gc(); gc()
    const before = process.memoryUsage()
    for (let i = 0; i < ${count}; i++) {
      for (let j = 0; j < ${unkept}; j++) append('noise', 'x'.repeat(20))
      append('c.' + (i % ${channels}), ${JSON.stringify(text)}.repeat(${size}) + i)
    }
    gc(); gc()
    const after = process.memoryUsage()
    console.log(JSON.stringify({
      counted: history.bytes,
      held: after.heapUsed + after.external - before.heapUsed - before.external,
    }))
    history.close()
  `
  const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', script]
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })) as {
    counted: number
    held: number
  }
}

it.each<[string, Case]>([
  ['tiny events on few channels', { count: 60_000, channels: 60, text: 'x', size: 0 }],
  ['one event each on many channels', { count: 50_000, channels: 50_000, text: 'x', size: 0 }],
  ['many channels with events that come and go', { count: 200_000, channels: 20_000, kept: 1, text: 'x', size: 20 }],
  ['events of 150 bytes', { count: 40_000, channels: 100, text: 'x', size: 150 }],
  ['large events', { count: 500, channels: 10, text: 'x', size: 100_000 }],
  ['Latin text with some emoji', { count: 10_000, channels: 10, text: `${'x'.repeat(100)}😀`, size: 10 }],
  ['Chinese text', { count: 10_000, channels: 10, text: '中', size: 1_000 }],
  ['Latin-1 text', { count: 10_000, channels: 10, text: 'é', size: 1_000 }],
  ['few events among many that are not kept', { count: 8_000, channels: 8_000, text: 'x', size: 20, unkept: 50 }],
  // The frames of envelopes, six times as large as the text, are not kept. The plain ones may still be asked for.
  [
    'control characters for an envelope reader',
    { count: 500, channels: 10, text: '\u0001', size: 20_000, form: 'envelope' },
  ],
])('history.maxBytes counts the memory used: %s', { timeout: 60_000 }, (_, given) => {
  const { counted, held } = growth(given)
  expect(counted / held).toBeGreaterThan(0.75)
  expect(counted / held).toBeLessThan(given.form === 'envelope' ? 2 : 1.25)
})
