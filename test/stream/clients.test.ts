import { EventSource as EventSourcePackage } from 'eventsource'
import { EventSource as EventSourceUndici } from 'undici'
import { describe, expect, it, vi } from 'vitest'
import { eventStream } from '../../src/stream/http-event-stream.ts'
import { serve } from '../support/serve.ts'

interface Source extends EventTarget {
  readonly readyState: number
  close(): void
}

const CLIENTS: readonly (readonly [string, new (url: string) => Source])[] = [
  ['eventsource', EventSourcePackage as unknown as new (url: string) => Source],
  ['undici', EventSourceUndici as unknown as new (url: string) => Source],
]

/** What the source fires, in order: type, data, last event ID, and the state it was in. */
function record(
  source: Source,
  ...types: string[]
): { type: string; data: string; lastEventId: string; state: number }[] {
  const fired: ReturnType<typeof record> = []
  for (const type of types) {
    source.addEventListener(type, (event) => {
      const { data, lastEventId } = event as Event & { data: string; lastEventId: string }
      fired.push({ type, data, lastEventId, state: source.readyState })
    })
  }
  return fired
}

const CLOSED = 2

describe.each(CLIENTS)('EventSource of %s', (_, Client) => {
  it('gets data of any kind as it was sent', async () => {
    const data = ['', ' a ', 'a\nb\r\nc\rd', 'é€😀\u2028', ':x', 'data: x\n\ndata: y', '\uFEFFbom', '{"a":1}']
    await using server = await serve(async (req, res) => {
      const sse = eventStream(req, res)
      sse.comment('hello\nthere')
      await sse.stream(data, { done: 'done', end: false })
    })
    const source = new Client(server.url)
    const fired = record(source, 'message')
    await vi.waitUntil(() => fired.at(-1)?.data === 'done')
    source.close()
    expect(fired.slice(0, -1).map(({ data }) => data)).toEqual(data.map((text) => text.replace(/\r\n|\r/g, '\n')))
  })

  it('reconnects with the last event ID after the given time, and stops when the stream is finished', async () => {
    const ids: string[] = []
    let asked = 0
    await using server = await serve((req, res) => {
      asked++
      const sse = eventStream(req, res)
      ids.push(sse.lastEventId)
      if (ids.length === 1) {
        sse.send('first', { id: 'a.1', event: 'tick', retry: 500 })
        sse.close()
      } else {
        sse.send('second', { event: 'tick' })
        sse.finish()
      }
    })
    const source = new Client(server.url)
    const fired = record(source, 'tick', 'hub.finished')
    // It does not close on its own, reconnects once more, and gets 204.
    await vi.waitUntil(() => source.readyState === CLOSED, { timeout: 10_000 })
    expect(fired).toMatchObject([
      { type: 'tick', data: 'first', lastEventId: 'a.1' },
      { type: 'tick', data: 'second' },
      { type: 'hub.finished', data: '{}', lastEventId: 'hub.finished' },
    ])
    expect(ids).toEqual(['', 'a.1', 'hub.finished'])
    expect(asked).toBe(3)
  })

  it('stops permanently on 204', async () => {
    await using server = await serve((req, res) => eventStream(req, res).finish())
    const source = new Client(server.url)
    const fired = record(source, 'error')
    await vi.waitUntil(() => source.readyState === CLOSED)
    expect(fired).toHaveLength(1)
  })
})
