import fc from 'fast-check'
import { expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { randomOf } from '../support/random.ts'
import { EVENT_STREAM, hubEvent, hubOpen, serve } from './support.ts'

const LINE_ENDS = ['\n', '\r\n', '\r']

it('every event is delivered once and in order, with any division of the bytes and any cut of the stream', async () => {
  const run = fc.asyncProperty(
    fc.nat(),
    fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 40 }),
    check,
  )
  await fc.assert(run, { numRuns: 25 })
}, 60_000)

/** A log whose server sends pieces of any length, and cuts or ends most streams somewhere. */
async function check(seed: number, log: string[]): Promise<void> {
  const random = randomOf(seed)
  const upTo = (n: number) => Math.floor(random() * n)
  let requests = 0
  const url = await serve((req, res) => {
    const from = Number(req.headers['last-event-id'] ?? 0)
    if (from === log.length && ++requests > 1) return void res.writeHead(204).end()
    let text = hubOpen(`${from}`, { resumed: from > 0 })
    for (let at = from; at < log.length; at++) {
      text += random() < 0.2 ? ': heartbeat\n\n' : ''
      text += hubEvent(`${at + 1}`, log[at])
    }
    const bytes = Buffer.from(text.replaceAll('\n', LINE_ENDS[upTo(3)]!))
    const stop = random() < 0.8 ? upTo(bytes.length) : bytes.length
    const cut = random() < 0.5
    res.writeHead(200, EVENT_STREAM)
    let sent = 0
    const next = (): void => {
      if (sent === stop) return void (cut ? res.socket!.resetAndDestroy() : res.end())
      const piece = bytes.subarray(sent, Math.min(stop, sent + 1 + upTo(random() < 0.3 ? 4 : 200)))
      sent += piece.length
      res.write(piece, () => setImmediate(next))
    }
    next()
  })
  const connection = connect(url, { retry: { minMs: 1, maxMs: 1 } })
  const heard: [string, string][] = []
  const yielded: string[] = []
  connection.on('event', ({ id, data }) => heard.push([id, data]))
  for await (const item of connection) yielded.push((item as { id: string }).id)
  expect(heard).toEqual(log.map((data, i) => [`${i + 1}`, data]))
  expect(yielded).toEqual(heard.map(([id]) => id))
}
