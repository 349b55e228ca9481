import { afterEach, describe, expect, it, vi } from 'vitest'
import { connect, sessionStore } from '../../src/client/index.ts'
import { connected, EVENT_STREAM, FAST, hubEvent, hubOpen, scripted, status, stream, until } from './support.ts'

const events = (from: number, to: number) => {
  let text = ''
  for (let i = from; i <= to; i++) text += hubEvent(`e.${i}`, i)
  return text
}

describe('the request', () => {
  it('names the channels in its request', async () => {
    const { url, requests } = await scripted(stream('id: é€\ndata: a\n\n'), status(204))
    const connection = connected(`${url}/channels?x=1`, {
      channels: ['board', 'price.>'],
      rewind: 5,
      headers: [['x-own', 'y']],
    })
    await connection.closed
    const [first, second] = requests
    const { pathname, searchParams } = new URL(first!.url!, url)
    expect(pathname).toBe('/channels')
    expect([...searchParams]).toEqual([
      ['x', '1'],
      ['channel', 'board'],
      ['channel', 'price.>'],
      ['envelope', '1'],
      ['rewind', '5'],
    ])
    expect(first!.headers).toMatchObject({ accept: 'text/event-stream', 'x-own': 'y' })
    expect(first!.headers).not.toHaveProperty('last-event-id')
    // With a position there is nothing to rewind.
    expect(second!.url).not.toContain('rewind')
    expect(Buffer.from(second!.headers['last-event-id'] as string, 'latin1').toString()).toBe('é€')
  })

  it('takes the position in the query across origins, which saves the preflight', async () => {
    vi.stubGlobal('location', { origin: 'https://elsewhere.example' })
    const { url, requests } = await scripted(status(204))
    await connected(url, { lastEventId: 'e.7' }).closed
    expect(new URL(requests[0]!.url!, url).searchParams.get('lastEventId')).toBe('e.7')
    expect(requests[0]!.headers).not.toHaveProperty('last-event-id')
    vi.unstubAllGlobals()
  })

  it('asks for the URL each time', async () => {
    const { url, requests } = await scripted(stream(''), stream(''), status(204))
    let n = 0
    await connected(url, {}).closed
    const connection = connect(async () => new URL(`/${++n}`, url), { retry: FAST })
    await connection.closed
    expect(requests.at(-1)!.url).toBe('/1?envelope=1')
  })

  it('refuses an invalid URL at once', () => {
    expect(() => connect('not a url')).toThrow(TypeError)
  })

  it('uses the fetch that it is given', async () => {
    const connection = connected('http://example.invalid', {
      fetch: async () => new Response(null, { status: 204 }),
    })
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
  })
})

describe('listeners', () => {
  it('receive events by type, until they are removed, each addition separately', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 3)), status(204))
    const connection = connect(url, { retry: FAST })
    const heard: unknown[] = []
    const listener = ({ data }: { data: unknown }) => {
      heard.push(data)
      if (data === 1) off()
    }
    const off = connection.on('event', listener)
    connection.on('event', listener)
    await connection.closed
    expect(heard).toEqual([1, 1, 2, 3])
  })

  it('of a channel or a pattern hear only that', async () => {
    const body = hubOpen('e.0') + hubEvent('e.1', 1, 'price.usd') + hubEvent('e.2', 2) + hubEvent('e.3', 3, 'price.a.b')
    const { url } = await scripted(stream(body), status(204))
    const connection = connect(url, { retry: FAST })
    const heard: unknown[] = []
    connection.channel('price.*', ({ data }) => heard.push(['*', data]))
    connection.channel('price.>', ({ data }) => heard.push(['>', data]))
    connection.channel('board', ({ data }) => heard.push(['board', data]))
    await connection.closed
    expect(heard).toEqual([
      ['*', 1],
      ['>', 1],
      ['board', 2],
      ['>', 3],
    ])
  })

  it('that throw are reported as uncaught, and affect no other listener', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 2)), status(204))
    const uncaught: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    const connection = connect(url, { retry: FAST })
    const heard: unknown[] = []
    connection.on('event', () => {
      throw new Error('mine')
    })
    connection.on('event', ({ data }) => heard.push(data))
    await connection.closed
    await until(() => uncaught.length === 2)
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
    expect(heard).toEqual([1, 2])
  })

  it('close() inside one: nothing more, of the same bytes neither', async () => {
    const { url, requests } = await scripted(stream(hubOpen('e.0') + events(1, 3)))
    const connection = connected(url)
    connection.on('event', () => connection.close())
    expect(await connection.closed).toEqual({ reason: 'closed', error: undefined })
    expect(connection.told.event.length).toBe(1)
    expect(connection.lastEventId).toBe('e.1')
    expect(connection.state).toBe('closed')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(requests.length).toBe(1)
  })

  it('reconnect() inside one: the rest comes from the new stream', async () => {
    const { url, requests } = await scripted(
      stream(hubOpen('e.0') + events(1, 3), true),
      stream(hubOpen('e.1', { resumed: true }) + events(2, 3)),
      status(204),
    )
    const connection = connected(url)
    const off = connection.on('event', () => {
      off()
      connection.reconnect()
    })
    await connection.closed
    expect(connection.told.event.map(({ data }) => data)).toEqual([1, 2, 3])
    expect(requests[1]!.headers['last-event-id']).toBe('e.1')
    expect(connection.told.error).toEqual([])
  })
})

describe('signal', () => {
  it('closes it; one that was aborted before keeps it from connecting', async () => {
    const { url, requests } = await scripted(stream(hubOpen('e.0'), true))
    const controller = new AbortController()
    const connection = connected(url, { signal: controller.signal })
    await until(() => connection.told.open.length)
    controller.abort()
    expect(await connection.closed).toEqual({ reason: 'aborted', error: undefined })
    expect(await connected(url, { signal: AbortSignal.abort() }).closed).toMatchObject({ reason: 'aborted' })
    expect(requests.length).toBe(1)
  })

  it('close() before it has begun keeps it from connecting, and leaves the store alone', async () => {
    const { url, requests } = await scripted(status(204))
    const kept: string[] = []
    const connection = connected(url, { store: { get: async () => 'e.1', set: (id) => kept.push(id) } })
    connection.close()
    expect(await connection.closed).toMatchObject({ reason: 'closed' })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect([requests.length, kept]).toEqual([0, []])
  })
})

describe('schemas', () => {
  const schema = (validate: (value: unknown) => unknown) => ({
    '~standard': { version: 1 as const, vendor: 'test', validate: validate as never },
  })

  it('check and change data; a name wins over a pattern; a refusal is an error with the ID', async () => {
    const body =
      hubOpen('e.0') +
      hubEvent('e.1', 1, 'price.usd') +
      hubEvent('e.2', 'x', 'price.usd') +
      hubEvent('e.3', 3, 'price.eur')
    const { url, requests } = await scripted(stream(body + hubEvent('e.4', 4)), status(204))
    const connection = connected(url, {
      schemas: {
        'price.*': schema(() => ({ value: 'by pattern' })),
        'price.usd': schema(async (value) =>
          typeof value === 'number' ? { value: value * 10 } : { issues: [{ message: 'no number' }] },
        ),
      },
    })
    await connection.closed
    expect(connection.told.event.map(({ data }) => data)).toEqual([10, 'by pattern', 4])
    expect(connection.told.error).toMatchObject([
      { code: 'ERR_SSE_DATA', id: 'e.2', cause: [{ message: 'no number' }] },
    ])
    expect(requests[1]!.headers['last-event-id']).toBe('e.4')
  })
})

describe('the store', () => {
  it('is read first, and written after each event', async () => {
    const { url, requests } = await scripted(stream(hubOpen('e.5', { resumed: true }) + events(6, 7)), status(204))
    const log: string[] = []
    const store = { get: async () => 'e.5', set: (id: string) => log.push(`set ${id}`) }
    const connection = connect(url, { retry: FAST, store, lastEventId: 'e.1' })
    connection.on('event', ({ id }) => log.push(id))
    await connection.closed
    expect(requests[0]!.headers['last-event-id']).toBe('e.5')
    expect(log).toEqual(['e.6', 'set e.6', 'e.7', 'set e.7'])
  })

  it('that fails is not called again, and the connection continues', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 3)), status(204))
    const connection = connected(url, { store: sessionStore('board') })
    await connection.closed
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_STORE' }])
    expect(connection.told.event.length).toBe(3)
    let sets = 0
    const set = () => {
      sets++
      throw new Error('full')
    }
    const other = connected(url, { store: { get: () => undefined, set } })
    await other.closed
    expect(sets).toBeLessThanOrEqual(1)
  })

  it('sessionStore keeps it for the next page of the tab', async () => {
    const sessionStorage: Record<string, string> = {}
    vi.stubGlobal('sessionStorage', sessionStorage)
    const { url, requests } = await scripted(stream(hubOpen('e.0') + events(1, 3)), status(204))
    await connected(url, { store: sessionStore('board') }).closed
    expect(sessionStorage).toEqual({ 'express-sse-hub:board': 'e.3' })
    await connected(url, { store: sessionStore('board') }).closed
    expect(requests.at(-1)!.headers['last-event-id']).toBe('e.3')
    vi.unstubAllGlobals()
  })
})

describe('the iterator', () => {
  it('yields events and gaps, and ends when the connection is finished', async () => {
    const gap = { reason: 'trimmed', channels: ['board'], from: 'e.0', to: 'e.1' }
    const body = `${hubOpen('e.0')}event: hub.gap\nid: e.1\ndata: ${JSON.stringify(gap)}\n\n${events(2, 4)}`
    const { url } = await scripted(stream(body), status(204))
    const seen: unknown[] = []
    for await (const item of connected(url)) seen.push('gap' in item ? item.reason : item.data)
    expect(seen).toEqual(['trimmed', 2, 3, 4])
  })

  it('throws the error of the connection, after the earlier items', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 2)), status(403))
    const seen: unknown[] = []
    await expect(async () => {
      for await (const item of connected(url)) seen.push('gap' in item || item.data)
    }).rejects.toMatchObject({ code: 'ERR_SSE_STATUS', status: 403 })
    expect(seen).toEqual([1, 2])
  })

  it('ends at once on close()', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 5), true))
    const connection = connected(url)
    const seen: unknown[] = []
    for await (const item of connection) {
      seen.push('gap' in item || item.data)
      connection.close()
    }
    expect(seen).toEqual([1])
  })

  it('holds at most maxQueued, and while it is full nothing is read', async () => {
    let written = 0
    let full = false
    const { url } = await scripted((res) => {
      res.writeHead(200, EVENT_STREAM)
      res.write(hubOpen('e.0'))
      const more = () => {
        while (written < 4_000) if (!res.write(hubEvent(`e.${++written}`, 'x'.repeat(10_000)))) break
        if (written < 4_000) res.once('drain', more)
        else full = true
      }
      more()
    })
    const connection = connected(url, { maxQueued: 10 })
    const iterator = connection[Symbol.asyncIterator]()
    const first = await iterator.next()
    expect(first.value).toMatchObject({ id: 'e.1' })
    let before = -1
    while (before !== written) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    // 40 MB wait at the server; sockets and the reader of the body hold the bytes in between.
    expect(full).toBe(false)
    expect(connection.told.event.length).toBe(10)
    let seen = 1
    for (let at = first; seen < 4_000; seen++) {
      at = await iterator.next()
      expect((at.value as { id: string }).id).toBe(`e.${seen + 1}`)
    }
    await iterator.return!()
  })

  it('keeps the position of what its consumer is done with', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 3), true))
    const kept: string[] = []
    const connection = connected(url, { store: { get: () => undefined, set: (id) => kept.push(id) } })
    const iterator = connection[Symbol.asyncIterator]()
    await iterator.next()
    await until(() => connection.lastEventId === 'e.3')
    expect(kept).toEqual(['e.0'])
    await iterator.next()
    expect(kept).toEqual(['e.0', 'e.1'])
    await iterator.next()
    void iterator.next()
    await until(() => kept.at(-1) === 'e.3')
  })
})

describe('a page', () => {
  const page = () => {
    const document = { visibilityState: 'visible' }
    const target = new EventTarget()
    vi.stubGlobal('document', document)
    vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
    const tell = (type: string, more: object = {}) => target.dispatchEvent(Object.assign(new Event(type), more))
    return { document, tell }
  }
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.useRealTimers()
  })

  it('reconnects when it is shown after a silence, but not while hidden or without a silence', async () => {
    const { document, tell } = page()
    const { url, requests } = await scripted(stream(hubOpen('e.0'), true))
    const connection = connected(url)
    await until(() => connection.told.open.length)
    tell('visibilitychange')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 15_500 })
    document.visibilityState = 'hidden'
    tell('visibilitychange')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(requests.length).toBe(1)
    document.visibilityState = 'visible'
    tell('visibilitychange')
    await until(() => connection.told.open.length === 2)
    expect(requests[1]!.headers['last-event-id']).toBe('e.0')
    expect(connection.told.error).toEqual([])
  })

  it.each([
    ['online', {}],
    ['pageshow', { persisted: true }],
  ])('%s: connects now, from a stream and from a wait', async (type, more) => {
    const { tell } = page()
    const { url, requests } = await scripted(stream(hubOpen('e.0'), true), status(503), stream(hubOpen('e.0'), true))
    const connection = connected(url, { retry: { minMs: 60_000, maxMs: 60_000 } })
    await until(() => connection.told.open.length)
    tell('pageshow', { persisted: false })
    tell(type, more)
    await until(() => connection.told.error.length)
    tell(type, more)
    await until(() => connection.told.open.length === 2)
    expect(requests.length).toBe(3)
  })

  it('that is only looked at again does not shorten a wait that the server asked for, but the network does', async () => {
    const { tell } = page()
    const { url, requests } = await scripted(status(503, { 'retry-after': '60' }))
    const connection = connected(url)
    await until(() => connection.state === 'waiting')
    tell('visibilitychange')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(requests.length).toBe(1)
    tell('online')
    await until(() => requests.length === 2)
  })

  it('drops the connection silently when it is left, and reconnects when it returns', async () => {
    const { tell } = page()
    let closed = 0
    const { url, requests } = await scripted((res) => {
      res.writeHead(200, EVENT_STREAM)
      res.write(hubOpen('e.0'))
      res.on('close', () => closed++)
    })
    const connection = connected(url)
    await until(() => connection.told.open.length)
    tell('pagehide')
    await until(() => closed === 1)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect([requests.length, connection.state]).toEqual([1, 'waiting'])
    tell('pageshow', { persisted: true })
    await until(() => connection.told.open.length === 2)
    expect(connection.told.error).toEqual([])
  })
})

describe('in Node', () => {
  it('is imported without anything of a page, and lets the process end once it is closed', async () => {
    const { url } = await scripted(stream(hubOpen('e.0') + events(1, 1), true))
    const { execFile } = await import('node:child_process')
    const { promisify } = await import('node:util')
    const code = `
      import { connect } from './src/client/index.ts'
      import './src/client/shared.ts'
      const connection = connect(${JSON.stringify(url)})
      connection.on('event', ({ data }) => { console.log(data); connection.close() })
    `
    const args = ['--import', 'tsx', '--input-type=module', '-e', code]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 })
    expect(stdout).toBe('1\n')
  })
})
