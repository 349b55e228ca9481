import { statSync } from 'node:fs'
import { expect, it } from 'vitest'
import { selector } from '../support.ts'
import { WORKER_BUILT } from './built-workers.ts'
import { event } from './log.ts'
import { Started, temporaryFile } from './support.ts'

// LARGE=1 npx vitest run test/broker/sqlite/large
it.runIf(process.env['LARGE'])('a log of 1,000,000 events', { timeout: 600_000 }, async () => {
  const file = temporaryFile()
  const history = { maxEvents: 10_000_000, maxBytes: 1_000_000_000, maxAgeMs: 0 }
  const say = (what: string, value: string) => process.stdout.write(`${what.padEnd(40)} ${value}\n`)
  const first = await Started.open(WORKER_BUILT, { file, history })
  const data = 'x'.repeat(200)
  const begin = performance.now()
  for (let i = 0; i < 1_000; i++) {
    await first.broker.publish([Array.from({ length: 1_000 }, (_, j) => event(`c${j % 100}.x`, { data }))])
  }
  say('publish', `${Math.round(1_000_000 / ((performance.now() - begin) / 1_000))} events/s`)
  const { epoch } = first.broker.top()
  await first.broker.close()
  say('file', `${(statSync(file).size / 1e6).toFixed(0)} MB`)
  for (let i = 0; i < 3; i++) {
    const opening = performance.now()
    const { broker } = await Started.open(WORKER_BUILT, { file, history })
    say('open', `${(performance.now() - opening).toFixed(0)} ms`)
    const max = { events: 250, bytes: 65_536 }
    const read = async (what: string, seq: number, ...names: string[]) => {
      const reading = performance.now()
      const { items } = await broker.read({ epoch, seq }, selector(...names), max)
      say(what, `${(performance.now() - reading).toFixed(1)} ms for ${items.length} events`)
      expect(items.length).toBeGreaterThan(0)
    }
    for (let j = 0; j < 3; j++) {
      await read('200 events of one channel', 980_000, 'c7.x')
      await read('200 events of all channels', 999_800, '>')
      await read('a page from the beginning', 0, 'c7.x')
      await read('a page from the middle, 64 channels', 500_000, ...Array.from({ length: 64 }, (_, k) => `c${k}.x`))
      await read('a page from the middle, a pattern', 500_000, '*.x')
    }
    await broker.close()
  }
})
