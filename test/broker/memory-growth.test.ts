import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

/** Publishes `count` events to a hub with a live subscriber of `form`, and prints what was counted and what was held. */
function growth(count: number, channels: number, size: number, text: string, form: 'plain' | 'envelope') {
  const script = `
    import { memoryBroker } from './src/broker/memory-broker.ts'
    import { newEvent } from './src/hub/publisher.ts'
    const broker = memoryBroker({ history: { maxBytes: 4e9, maxEvents: 10_000_000 } })
    let counted = 0
    await broker.start({
      events(batch) {
        for (const event of batch) {
          event.frame('${form}')
          counted += event.heldBytes
          event.release()
        }
      },
      suspect() {},
    })
    gc(); gc()
    const before = process.memoryUsage()
    for (let i = 0; i < ${count}; i += 500) {
      const one = (j) => newEvent('c.' + ((i + j) % ${channels}), ${JSON.stringify(text)}.repeat(${size}) + (i + j), undefined, 1e7)
      await broker.publish([Array.from({ length: Math.min(500, ${count} - i) }, (_, j) => one(j))])
    }
    gc(); gc()
    const after = process.memoryUsage()
    const held = after.heapUsed + after.external - before.heapUsed - before.external
    console.log(JSON.stringify({ counted, held, broker: typeof broker }))
  `
  const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', script]
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })) as {
    counted: number
    held: number
  }
}

it.each([
  ['tiny events on many channels', [60_000, 60, 0, 'x', 'plain'], 0.75, 1.25],
  ['events of 150 bytes', [40_000, 100, 150, 'x', 'plain'], 0.75, 1.25],
  ['large events', [500, 10, 100_000, 'x', 'plain'], 0.75, 1.25],
  // The frames of envelopes, six times as large as the text, are not kept.
  ['control characters for an envelope reader', [500, 10, 20_000, '\u0001', 'envelope'], 0.75, 2],
] as const)(
  'history.maxBytes counts what is held: %s',
  { timeout: 60_000 },
  (_, [count, channels, size, text, form], least, most) => {
    const { counted, held } = growth(count, channels, size, text, form)
    expect(counted / held).toBeGreaterThan(least)
    expect(counted / held).toBeLessThan(most)
  },
)
