import { EventEmitter, once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream } from '../../src/stream/http-event-stream.ts'
import { manualClock, type OpenStream } from '../../src/testing/index.ts'
import { exchange } from '../support/exchange.ts'
import { uncaught } from '../support/uncaught.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** The data of every event until the stream ends. */
async function dataOf(client: OpenStream): Promise<string[]> {
  await client.ended
  const data: string[] = []
  for (;;) {
    const event = await client.next().catch(() => undefined)
    if (event === undefined) return data
    data.push(event.data)
  }
}

async function* later<T>(...items: T[]): AsyncGenerator<T> {
  for (const item of items) {
    await turn()
    yield item
  }
}

/** Ways to say a, b, c. */
const SOURCES: readonly (readonly [name: string, make: () => never])[] = (
  [
    ['an array', () => ['a', 'b', 'c']],
    ['a Set', () => new Set(['a', 'b', 'c'])],
    ['a generator', () => ['a', 'b', 'c'].values()],
    ['an async generator', () => later('a', 'b', 'c')],
    ['a Node readable of objects', () => Readable.from(['a', 'b', 'c'])],
    ['a Web readable', () => ReadableStream.from(later('a', 'b', 'c'))],
    ['a promise of an array', () => Promise.resolve(['a', 'b', 'c'])],
    ['a promise of an async generator', () => turn().then(() => later('a', 'b', 'c'))],
    // biome-ignore lint/suspicious/noThenProperty: the subject of this test
    ['a thenable of an array', () => ({ then: (done: (items: string[]) => void) => done(['a', 'b', 'c']) })],
    [
      'an async iterator without return',
      () => {
        const items = later('a', 'b', 'c')
        return { [Symbol.asyncIterator]: () => ({ next: () => items.next() }) }
      },
    ],
  ] as const
).map(([name, make]) => [name, make as () => never])

describe('stream', () => {
  it.each(SOURCES)('sends what %s yields, then ends', async (_, make) => {
    await using x = await exchange()
    expect(await x.sse.stream(make())).toEqual({ sent: 3, reason: 'done' })
    expect(await x.sse.closed).toBe('server')
    expect(await dataOf(await x.client)).toEqual(['a', 'b', 'c'])
  })

  it('sends items other than text as JSON', async () => {
    await using x = await exchange()
    await x.sse.stream([{ a: 1 }, null, 5])
    expect(await dataOf(await x.client)).toEqual(['{"a":1}', 'null', '5'])
  })

  it('sends done last, and may leave the stream open', async () => {
    await using x = await exchange()
    await x.sse.stream(['a'], { done: '[DONE]', end: false })
    expect(x.sse.state).toBe('open')
    await x.sse.stream([], { done: { n: 1 } })
    expect(await dataOf(await x.client)).toEqual(['a', '[DONE]', '{"n":1}'])
  })

  it('hands items to each, which may write none, one or many, and is awaited', async () => {
    await using x = await exchange()
    const seen: [number, EventStream][] = []
    const options = {
      prefix: 'n',
      async each(this: { prefix: string }, n: number, sse: EventStream) {
        seen.push([n, sse])
        await turn()
        for (let i = 0; i < n; i++) sse.send(n, { event: `${this.prefix}${n}` })
      },
    }
    const { prefix: _, ...rest } = options
    expect(await x.sse.stream([0, 1, 2], Object.assign(Object.create({ prefix: 'n' }) as object, rest))).toEqual({
      sent: 3,
      reason: 'done',
    })
    expect(seen).toEqual([
      [0, x.sse],
      [1, x.sse],
      [2, x.sse],
    ])
    const client = await x.client
    await client.ended
    expect([await client.next(), await client.next(), await client.next()].map(({ event }) => event)).toEqual([
      'n1',
      'n2',
      'n2',
    ])
  })

  it('decodes bytes across the borders of chunks', async () => {
    const bytes = Buffer.from('a€😀')
    for (const source of [
      Readable.from([...bytes].map((byte) => Buffer.of(byte))),
      ReadableStream.from([...bytes].map((byte) => Uint8Array.of(byte))),
      [...bytes].map((byte) => Uint8Array.of(byte)),
    ]) {
      await using x = await exchange()
      expect(await x.sse.stream(source as Iterable<Uint8Array>)).toEqual({ sent: 3, reason: 'done' })
      expect(await dataOf(await x.client)).toEqual(['a', '€', '😀'])
    }
  })

  it('passes the decoded text of bytes to each, and the rest at the end', async () => {
    await using x = await exchange()
    const items: string[] = []
    const { sent } = await x.sse.stream([Buffer.from('a'), Buffer.from('€').subarray(0, 2)], {
      each: (item) => items.push(item),
    })
    expect([sent, items]).toEqual([2, ['a', '\uFFFD']])
  })

  it('sends the rest of a character at the end of the source', async () => {
    await using x = await exchange()
    await x.sse.stream([Uint8Array.of(0xe2, 0x82)])
    expect(await dataOf(await x.client)).toEqual(['\uFFFD'])
  })

  it.each([
    ['a string', 'text'],
    ['a number', 5],
    ['null', null],
    ['undefined', undefined],
    ['an object', {}],
    ['an emitter', new EventEmitter()],
  ])('rejects %s before the head is out, so that an error handler can answer', async (_, source) => {
    await using x = await exchange()
    await expect(x.sse.stream(source as never)).rejects.toThrow(TypeError)
    expect([x.sse.state, x.res.headersSent]).toEqual(['idle', false])
  })

  it.each([
    [{ each: 5 }, 'each'],
    [{ onError: 'x' }, 'onError'],
    [{ end: 'no' }, 'end'],
    [{ ended: true }, '`ended`'],
    [null, 'options'],
    ['x', 'options'],
  ])('rejects the options %j before the head is out', async (options, names) => {
    await using x = await exchange()
    const stream = x.sse.stream(['a'], options as never)
    await expect(stream).rejects.toThrow(TypeError)
    await expect(stream).rejects.toThrow(names)
    expect([x.sse.state, x.res.headersSent]).toEqual(['idle', false])
  })

  it('rejects and finalises the source when another answer is in progress', async () => {
    await using x = await exchange()
    x.res.write('other')
    const returned = vi.fn()
    const source = { next: () => ({ done: true, value: undefined }), return: returned }
    await expect(x.sse.stream({ [Symbol.iterator]: () => source } as never)).rejects.toMatchObject({
      code: 'ERR_SSE_HEADERS_SENT',
    })
    expect(returned).toHaveBeenCalledOnce()
    const late = new PassThrough()
    await expect(x.sse.stream(Promise.resolve(late))).rejects.toMatchObject({ code: 'ERR_SSE_HEADERS_SENT' })
    await turn()
    expect(late.destroyed).toBe(true)
    await expect(x.sse.stream(Promise.reject(new Error('late')))).rejects.toThrow('late')
  })

  it('lets the event loop have its turn, however fast source and peer are', async () => {
    await using x = await exchange()
    let made = 0
    let atLastTurn = 0
    let longest = 0
    let running = true
    const watch = (): void => {
      longest = Math.max(longest, made - atLastTurn)
      atLastTurn = made
      if (running) setImmediate(watch)
    }
    function* source(): Generator<string> {
      while (made < 50_000) yield `item ${made++}`
    }
    watch()
    expect(await x.sse.stream(source())).toEqual({ sent: 50_000, reason: 'done' })
    running = false
    expect(longest).toBeLessThan(1_000)
  })

  it('waits for a peer that is behind', async () => {
    await using x = await exchange()
    let made = 0
    const chunk = 'x'.repeat(64 * 1024)
    function* endless(): Generator<string> {
      for (;;) {
        made++
        yield chunk
      }
    }
    x.sse.open()
    const client = await x.client
    x.req.socket.cork()
    const stream = x.sse.stream(endless())
    await turn()
    await turn()
    const stuck = made
    expect(stuck).toBeLessThan(4)
    await turn()
    expect(made).toBe(stuck)
    x.req.socket.uncork()
    while (made < stuck + 100) await client.next()
    expect(x.sse.bufferedBytes).toBeLessThan(4 * chunk.length)
    client.drop()
    expect((await stream).reason).toBe('closed')
  })

  it('does not keep sent items', async () => {
    await using x = await exchange()
    let first: WeakRef<object> | undefined
    let more: (() => void) | undefined
    async function* source(): AsyncGenerator<object> {
      for (let n = 0; n < 100; n++) {
        const item = { n }
        first ??= new WeakRef(item)
        yield item
      }
      await new Promise<void>((resolve) => (more = resolve))
    }
    const stream = x.sse.stream(source())
    const client = await x.client
    for (let n = 0; n < 100; n++) await client.next()
    while (more === undefined) await turn()
    await turn()
    collectGarbage()
    expect(first!.deref()).toBeUndefined()
    more()
    await stream
  })
})

describe('a client that leaves', () => {
  it('finalises a generator that waits', async () => {
    await using x = await exchange()
    const finalised = vi.fn()
    let wake: () => void = () => {}
    async function* source(): AsyncGenerator<string> {
      try {
        yield 'a'
        await new Promise<void>((resolve) => (wake = resolve))
        yield 'b'
      } finally {
        finalised()
      }
    }
    const stream = x.sse.stream(source())
    const client = await x.client
    await client.next()
    client.drop()
    expect(await stream).toEqual({ sent: 1, reason: 'closed' })
    // A generator in the middle of an await notices it afterwards.
    wake()
    await vi.waitFor(() => expect(finalised).toHaveBeenCalledOnce(), { timeout: 15_000 })
  })

  it('calls return of an iterator that waits', async () => {
    await using x = await exchange()
    const returned = vi.fn(() => Promise.reject(new Error('from return')))
    const stream = x.sse.stream({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: returned }),
    })
    ;(await x.client).drop()
    expect(await stream).toEqual({ sent: 0, reason: 'closed' })
    expect(returned).toHaveBeenCalledOnce()
  })

  it.each([
    ['', (readable: Readable) => readable],
    ['a promise of ', (readable: Readable) => Promise.resolve(readable)],
  ])('destroys %sa Node readable that waits', async (_, wrap) => {
    await using x = await exchange()
    const readable = new PassThrough()
    const stream = x.sse.stream(wrap(readable) as Readable)
    readable.write('a')
    const client = await x.client
    await client.next()
    client.drop()
    expect(await stream).toEqual({ sent: 1, reason: 'closed' })
    expect(readable.destroyed).toBe(true)
  })

  it.each([
    ['', (readable: ReadableStream<string>) => readable],
    ['a promise of ', (readable: ReadableStream<string>) => Promise.resolve(readable)],
  ])('cancels %sa Web readable that waits', async (_, wrap) => {
    await using x = await exchange()
    const cancelled = vi.fn()
    const readable = new ReadableStream<string>({ start: (c) => c.enqueue('a'), cancel: cancelled })
    const stream = x.sse.stream(wrap(readable))
    const client = await x.client
    await client.next()
    client.drop()
    expect(await stream).toEqual({ sent: 1, reason: 'closed' })
    expect(cancelled).toHaveBeenCalledOnce()
  })

  it('is noticed while the source itself is still to come, which is finalised when it comes', async () => {
    await using x = await exchange()
    let come: (source: Readable) => void = () => {}
    x.sse.open()
    const stream = x.sse.stream(new Promise<Readable>((resolve) => (come = resolve)))
    ;(await x.client).drop()
    expect(await stream).toEqual({ sent: 0, reason: 'closed' })
    const readable = new PassThrough()
    come(readable)
    await once(readable, 'close')
    expect(readable.destroyed).toBe(true)
  })

  it('hides that the source failed because of it', async () => {
    const onError = vi.fn()
    await using x = await exchange({ sse: { onError } })
    const { signal } = x.sse
    async function* source(): AsyncGenerator<string> {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    const stream = x.sse.stream(source())
    ;(await x.client).drop()
    expect(await stream).toEqual({ sent: 0, reason: 'closed' })
    await turn()
    expect(onError).not.toHaveBeenCalled()
  })

  it('hides that each failed because of it', async () => {
    const onError = vi.fn()
    await using x = await exchange({ sse: { onError } })
    const stream = x.sse.stream(['a', 'b'], {
      async each(_item, sse) {
        await sse.closed
        throw new Error('gone')
      },
    })
    ;(await x.client).drop()
    expect(await stream).toEqual({ sent: 0, reason: 'closed' })
    expect(onError).not.toHaveBeenCalled()
  })

  it('ends a source that never waits', async () => {
    await using x = await exchange()
    let open = true
    function* endless(): Generator<string> {
      try {
        for (;;) yield 'x'
      } finally {
        open = false
      }
    }
    const stream = x.sse.stream(endless())
    ;(await x.client).drop()
    expect((await stream).reason).toBe('closed')
    expect(open).toBe(false)
  })

  it('ends a source at once for a stream that is closed already, and for HEAD', async () => {
    for (const method of ['GET', 'HEAD']) {
      await using x = await exchange({ method })
      if (method === 'GET') x.sse.close()
      const late = new PassThrough()
      expect(await x.sse.stream(Promise.resolve(late))).toEqual({ sent: 0, reason: 'closed' })
      await vi.waitUntil(() => late.destroyed)
      const readable = new PassThrough()
      expect(await x.sse.stream(readable)).toEqual({ sent: 0, reason: 'closed' })
      expect(readable.destroyed).toBe(true)
      await x.client
    }
  })
})

describe('a source that fails', () => {
  const boom = new Error('secret')
  async function* failing(...items: string[]): AsyncGenerator<string> {
    yield* items
    throw boom
  }

  it.each([
    ['before its first item', []],
    ['after its first item', ['a']],
  ])('%s ends the stream without the text of the error', async (_, items) => {
    const onError = vi.fn()
    await using x = await exchange({ sse: { onError } })
    expect(await x.sse.stream(failing(...items), { done: 'never' })).toEqual({
      sent: items.length,
      reason: 'failed',
      error: boom,
    })
    expect(await x.sse.closed).toBe('error')
    expect(onError.mock.calls).toEqual([[boom]])
    const client = await x.client
    expect(await dataOf(client)).toEqual(items)
    expect(client.text()).not.toContain('secret')
    expect(client.text()).not.toContain('never')
  })

  it.each([
    [
      'a Node readable',
      () =>
        new Readable({
          read() {
            this.destroy(boom)
          },
        }),
    ],
    ['a Web readable', () => new ReadableStream({ start: (c) => c.error(boom) })],
    [
      'an iterator that throws',
      () => ({
        [Symbol.iterator]: () => ({
          next() {
            throw boom
          },
        }),
      }),
    ],
  ] as [string, () => never][])('may be %s', async (_, make) => {
    await using x = await exchange()
    expect(await x.sse.stream(make())).toEqual({ sent: 0, reason: 'failed', error: boom })
  })

  it.each([
    ['a promise that rejects', () => Promise.reject(boom), 'secret'],
    ['a promise of a number', () => Promise.resolve(5), 'must be a sync or async iterable'],
    ['a number', () => 5, 'must be a sync or async iterable, or a Web or Node readable, got 5.'],
    [
      'an iterable whose iterator cannot be made',
      () => ({
        [Symbol.asyncIterator]() {
          throw boom
        },
      }),
      'secret',
    ],
  ] as [string, () => never, string][])(
    'is the error of the handler while the head is not out: %s',
    async (_, make, message) => {
      await using x = await exchange()
      await expect(x.sse.stream(make())).rejects.toThrow(message)
      expect(x.res.headersSent).toBe(false)
      x.res.statusCode = 502
      x.res.end()
      await expect(x.client).resolves.toMatchObject({ status: 502 })
    },
  )

  it('is a failure of the stream when its promise rejects after the head is out', async () => {
    await using x = await exchange()
    x.sse.open()
    expect(await x.sse.stream(Promise.reject(boom))).toEqual({ sent: 0, reason: 'failed', error: boom })
    expect(await x.sse.closed).toBe('error')
  })

  it('is waited for before the head is sent', async () => {
    await using x = await exchange()
    let come: (items: string[]) => void = () => {}
    const stream = x.sse.stream(new Promise<string[]>((resolve) => (come = resolve)))
    await turn()
    expect(x.res.headersSent).toBe(false)
    come(['a'])
    expect(await stream).toEqual({ sent: 1, reason: 'done' })
  })

  it.each([
    ['without onError', undefined, /terminated|aborted|ECONNRESET|other side closed/],
    ['with an onError that returns nothing', () => undefined, /terminated|aborted|ECONNRESET|other side closed/],
    ['with an onError whose data has no text', () => 1n, /terminated|aborted|ECONNRESET|other side closed/],
    ['with data of onError', () => 'failed', undefined],
  ])('%s: a client takes the answer for complete only if it received the end', async (_, onError, message) => {
    const server = createServer((req, res) => {
      eventStream(req, res).stream(failing('a', 'b'), { onError })
    }).listen(0)
    try {
      await once(server, 'listening')
      const answer = await fetch(`http://localhost:${(server.address() as AddressInfo).port}`)
      if (message === undefined) expect(await answer.text()).toContain('data: failed')
      else await expect(answer.text().catch((error) => Promise.reject(error.cause ?? error))).rejects.toThrow(message)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('is cut over HTTP/1.0 and HTTP/2 as well', async () => {
    async function* failingLater() {
      yield 'a'
      // The client has read all of it when the reset comes.
      await new Promise((resolve) => setTimeout(resolve, 50))
      throw boom
    }
    const answer = (req: never, res: never) => void eventStream(req, res).stream(failingLater())
    const http1 = createServer(answer as never).listen(0)
    const http2 = createHttp2Server(answer as never).listen(0)
    await Promise.all([once(http1, 'listening'), once(http2, 'listening')])
    const socket = connectSocket((http1.address() as AddressInfo).port)
    socket.write('GET / HTTP/1.0\r\n\r\n')
    socket.resume()
    const [error] = await once(socket, 'error')
    expect(error.code).toBe('ECONNRESET')
    const session = connectHttp2(`http://localhost:${(http2.address() as AddressInfo).port}`)
    const request = session.request({ ':path': '/' })
    request.resume()
    await expect(once(request, 'close')).rejects.toMatchObject({ code: 'ERR_HTTP2_STREAM_ERROR' })
    session.destroy()
    http1.close()
    http2.close()
  })

  it('may yield a value without text', async () => {
    await using x = await exchange()
    const finalised = vi.fn()
    function* source(): Generator<unknown> {
      try {
        yield 'a'
        yield undefined
      } finally {
        finalised()
      }
    }
    expect(await x.sse.stream(source())).toMatchObject({ sent: 1, reason: 'failed', error: expect.any(TypeError) })
    expect(finalised).toHaveBeenCalledOnce()
    expect(await dataOf(await x.client)).toEqual(['a'])
  })

  it('may have an each that throws, or rejects', async () => {
    for (const each of [
      () => {
        throw boom
      },
      () => Promise.reject(boom),
    ]) {
      await using x = await exchange()
      const readable = new PassThrough()
      readable.write('a')
      expect(await x.sse.stream(readable, { each })).toEqual({ sent: 0, reason: 'failed', error: boom })
      expect(readable.destroyed).toBe(true)
    }
  })

  it('sends what onError makes of it, and leaves the stream open when asked', async () => {
    await using x = await exchange()
    await x.sse.stream(failing('a'), { onError: (error) => ({ failed: error === boom }), end: false })
    expect(x.sse.state).toBe('open')
    x.sse.close()
    expect(await dataOf(await x.client)).toEqual(['a', '{"failed":true}'])
  })

  it('does not depend on exceptions of the hooks', async () => {
    const onError = vi.fn(() => {
      throw new Error('from onError')
    })
    await using x = await exchange({ sse: { onError } })
    const result = await x.sse.stream(failing(), {
      onError() {
        throw new Error('from the hook')
      },
    })
    expect(result).toEqual({ sent: 0, reason: 'failed', error: boom })
    expect(onError).toHaveBeenCalledTimes(2)
    await using y = await exchange({ sse: { onError } })
    expect(await y.sse.stream(failing(), { onError: () => 1n })).toMatchObject({ reason: 'failed', error: boom })
    expect(onError).toHaveBeenCalledTimes(4)
    await using z = await exchange({ sse: { onError } })
    expect(await z.sse.stream([], { done: 1n })).toEqual({ sent: 0, reason: 'done' })
    expect(onError).toHaveBeenCalledTimes(5)
    await using w = await exchange()
    expect(await w.sse.stream([], { done: 1n })).toEqual({ sent: 0, reason: 'done' })
  })
})

describe('a source that is handed over', () => {
  const boom = new Error('boom')
  const brokenSources: [string, () => never][] = [
    ['a file that does not exist', () => createReadStream('missing')],
    ['a promise of a file that does not exist', () => Promise.resolve(createReadStream('missing'))],
    ['a promise that rejects', () => Promise.reject(boom)],
    ['a promise that rejects later', () => turn().then(() => Promise.reject(boom))],
    [
      'a readable whose destroy() throws',
      () =>
        Object.assign(new PassThrough(), {
          destroy() {
            throw boom
          },
        }),
    ],
    [
      'a readable that fails while it is destroyed',
      () => new Readable({ read() {}, destroy: (_, done) => done(boom) }),
    ],
    ['a Web stream whose cancel() rejects', () => new ReadableStream({ cancel: () => Promise.reject(boom) })],
    [
      'an iterator whose return() throws',
      () => ({
        [Symbol.iterator]: () => ({
          next: () => new Promise(() => {}),
          return() {
            throw boom
          },
        }),
      }),
    ],
    [
      'an iterator whose return() rejects',
      () => ({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}), return: () => Promise.reject(boom) }),
      }),
    ],
  ] as never
  it.each(brokenSources)(
    'never ends the process for a HEAD, a client that left, or hub.finished: %s',
    async (_, make) => {
      const errors = uncaught()
      for (const request of [{ method: 'HEAD' }, { lastEventId: 'hub.finished' }, {}] as const) {
        await using x = await exchange(request)
        if (request.constructor === Object && Object.keys(request).length === 0) x.res.destroy()
        await turn()
        await x.sse.stream(make()).catch(() => {})
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      {
        await using x = await exchange()
        await expect(x.sse.stream(make(), { ended: true } as never)).rejects.toThrow(TypeError)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      expect(errors).toEqual([])
    },
  )
})

describe('text in items', () => {
  it('is not cut between the two halves of a surrogate pair', async () => {
    await using x = await exchange()
    await x.sse.stream(['a\ud83d', '\ude00b', '\ud83d', '\ude00', 'c'])
    expect(await dataOf(await x.client)).toEqual(['a', '😀b', '😀', 'c'])
  })

  it.each([
    ['half a surrogate pair before bytes', ['a\ud83d', Buffer.from('x'), '\ude00b'], ['a', '\ufffd', 'x', '\ufffdb']],
    ['half a character before a string', [Buffer.from([0x61, 0xf0, 0x9f]), 'x'], ['a', '\ufffd', 'x']],
    ['half a character before an object', [Buffer.from([0xf0, 0x9f]), { b: 1 }], ['\ufffd', '{"b":1}']],
    ['both at the end', ['a\ud83d', Buffer.from([0xf0])], ['a', '\ufffd', '\ufffd']],
  ] as [string, unknown[], string[]][])('keeps the order of strings and bytes: %s', async (_, items, expected) => {
    await using x = await exchange()
    await x.sse.stream(items)
    expect(await dataOf(await x.client)).toEqual(expected)
  })

  it('loses nothing when the other half never comes', async () => {
    await using x = await exchange()
    await x.sse.stream(['a\ud83d', { b: 1 }, 'c\ud83d', 'd', 'e\ud83d'])
    expect(await dataOf(await x.client)).toEqual(['a', '\ufffd', '{"b":1}', 'c', '\ufffdd', 'e', '\ufffd'])
  })
})

describe('a peer that takes nothing', () => {
  it('is cut after maxLagMs at a heartbeat, however little waits for it', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock, heartbeatIntervalMs: 1_000, maxLagMs: 5_000 } })
    x.sse.open()
    await x.client
    await x.sse.drained()
    x.req.socket.cork()
    expect(x.sse.send('little')).toBe(true)
    clock.advance(5_000)
    // It is read after all, and another takes its place.
    x.req.socket.uncork()
    await vi.waitUntil(() => x.sse.bufferedBytes === 0)
    clock.advance(1_000)
    x.req.socket.cork()
    x.sse.send('little')
    clock.advance(5_000)
    expect(x.sse.state).toBe('open')
    clock.advance(1_000)
    expect(await x.sse.closed).toBe('slow')
    expect(clock.pendingTimers).toBe(0)
  })

  it.each([true, false])('is not cut because hours pass in one go (letGo: %s)', async (letGo) => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock, letGo, heartbeatIntervalMs: 1_000, maxLagMs: 5_000 } })
    x.sse.open()
    const client = await x.client
    clock.advance(3_600_000)
    x.sse.send('a')
    expect(await client.next()).toMatchObject({ data: 'a' })
  })

  it('is cut after maxLagMs, and the source finalised', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock, maxBufferedBytes: 1e9 } })
    x.sse.open()
    await x.client
    await x.sse.drained()
    x.req.socket.cork()
    let finalised = false
    async function* endless() {
      try {
        for (;;) {
          yield 'x'.repeat(1_000_000)
          await turn()
        }
      } finally {
        finalised = true
      }
    }
    const result = x.sse.stream(endless())
    await vi.waitUntil(() => x.sse.bufferedBytes > 0)
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (let i = 0; i < 6; i++) clock.advance(7_500)
    expect(await x.sse.closed).toBe('slow')
    expect(await result).toMatchObject({ reason: 'closed' })
    await vi.waitUntil(() => finalised)
    expect(clock.pendingTimers).toBe(0)
  })
})
