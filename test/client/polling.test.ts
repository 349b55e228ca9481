import express from 'express'
import { describe, expect, it, onTestFinished } from 'vitest'
import { withPolling } from '../../src/client/polling.ts'
import { ChannelHub, memoryBroker } from '../../src/index.ts'
import { nginxMissing, startNginx } from '../support/nginx.ts'
import { type Any, connected, EVENT_STREAM, FAST, serve, until } from './support.ts'

/** Short, because each held stream costs one of them. */
const IMPATIENT = { connectTimeoutMs: 150, silenceMs: 3_000, retry: { ...FAST, maxAskedMs: 10 } }

/** A hub behind a hop that holds streams back while `isHolding`. `streams` counts the streams that were requested. */
async function behindHolding(options: ConstructorParameters<typeof ChannelHub>[0] = {}) {
  const hub = new ChannelHub<Any>(options)
  const hop = { isHolding: true, streams: 0, polls: [] as string[], holdsHead: true }
  const app = express()
  app.use((req, res, next) => {
    if (req.get('accept') === 'application/json') {
      hop.polls.push(req.url)
      return next()
    }
    hop.streams++
    if (!hop.isHolding) return next()
    if (!hop.holdsHead) res.writeHead(200, EVENT_STREAM).flushHeaders()
  })
  app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
  const url = `${await serve(app)}/channels`
  onTestFinished(() => hub.close())
  return { hub, hop, url }
}

/** nginx compresses streams in spite of `no-transform`, and keeps what it has until there is enough of it. */
const HOLDING = `proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;
  gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0;`

describe('withPolling()', () => {
  it('polls after three streams in a row without a byte, and reports it', async () => {
    const { hub, hop, url } = await behindHolding()
    const options = { ...IMPATIENT, fetch: withPolling({ waitSeconds: 1 }), channels: ['board', 'price.*'] }
    const connection = connected(url, options)
    await until(() => connection.told.open.length)
    expect(hop.streams).toBe(3)
    expect(connection.told.error.map(({ code }) => code)).toEqual(Array(3).fill('ERR_SSE_TIMEOUT'))
    const position = await hub.position()
    await until(() => connection.lastEventId === position)
    expect(connection.told.open).toEqual([
      {
        channels: ['board', 'price.*'],
        resumed: false,
        heartbeatIntervalMs: 1_000,
        envelope: true,
        polling: true,
        id: '',
      },
    ])
    for (let i = 0; i < 5; i++) {
      await hub.publish('board', { i }, { event: 'note' })
      await hub.publish('price.usd', `${i}`)
    }
    await until(() => connection.told.event.length === 10)
    expect(connection.told.event[0]).toMatchObject({ channel: 'board', event: 'note', data: { i: 0 } })
    expect(connection.told.event[9]).toMatchObject({ channel: 'price.usd', event: undefined, data: '4' })
    expect(connection.lastEventId).toBe(await hub.position())
    expect(connection.told.state.at(-1)).toBe('open')
    expect(hop.streams).toBe(3)
    // The first request asks for the position alone, the others are held.
    expect(hop.polls[0]).toContain('rewind=0')
    expect(hop.polls.at(-1)).toMatch(/&wait=1&after=\w+\.\w+$/)
  })

  it('counts a head without a byte of the body, too, and a byte starts the count again', async () => {
    const { hop, url } = await behindHolding()
    hop.holdsHead = false
    const connection = connected(url, {
      ...IMPATIENT,
      silenceMs: 300,
      channels: ['board'],
      fetch: withPolling({ waitSeconds: 1 }),
    })
    await until(() => hop.streams === 2)
    hop.isHolding = false
    await until(() => connection.told.open.length)
    hop.isHolding = true
    // The silence of a stream that has brought a byte does not count.
    await until(() => hop.polls.length)
    expect(hop.streams).toBe(6)
  })

  it('tries a stream again, and stays with streams that bring bytes', async () => {
    const { hub, hop, url } = await behindHolding()
    const fetch = withPolling({ waitSeconds: 1, retryStreamMs: 500 })
    const connection = connected(url, { ...IMPATIENT, fetch, channels: ['board'] })
    await until(() => connection.told.open.length)
    const { streams } = hop
    // One stream is enough to see that nothing has changed.
    await until(() => hop.streams === streams + 1)
    await until(() => connection.told.open.length === 2)
    expect(connection.told.open[1]).toMatchObject({ polling: true, resumed: true })
    hop.isHolding = false
    await until(() => connection.told.open.length === 3)
    expect(connection.told.open[2]!.polling).toBeUndefined()
    const polls = hop.polls.length
    await hub.publish('board', 'by stream')
    await until(() => connection.told.event.length)
    expect(hop.polls.length).toBe(polls)
  })

  it('resumes, reports gaps, and pages through what was missed', async () => {
    const { hub, hop, url } = await behindHolding({ broker: memoryBroker({ history: { maxEvents: 1_500 } }) })
    const start = await hub.position()
    for (let i = 0; i < 2; i++)
      await hub.publishAll(Array.from({ length: 1_000 }, (_, n) => ({ channel: 'board', data: 1_000 * i + n })))
    const connection = connected(url, {
      ...IMPATIENT,
      fetch: withPolling({ waitSeconds: 1, afterStreams: 1 }),
      channels: ['board'],
      lastEventId: start,
    })
    await until(() => connection.told.event.length === 1_500)
    expect(connection.told.open[0]).toMatchObject({ resumed: true, id: start })
    expect(connection.told.gap).toMatchObject([{ reason: 'trimmed', channels: ['board'], from: start }])
    expect(connection.told.event.map(({ data }) => data)).toEqual(Array.from({ length: 1_500 }, (_, n) => n + 500))
    const unusable = connected(url, {
      ...IMPATIENT,
      fetch: withPolling({ afterStreams: 1 }),
      channels: ['board'],
      lastEventId: 'zzzzzz.1',
    })
    await until(() => unusable.told.gap.length)
    expect(unusable.told.open[0]).toMatchObject({ resumed: false })
    expect(unusable.told.gap[0]).toMatchObject({ reason: 'unknown-epoch', id: await hub.position() })
    expect(hop.streams).toBe(2)
  })

  it('starts with rewind, and ends where the connection is closed', async () => {
    const { hub, url } = await behindHolding()
    for (let i = 0; i < 5; i++) await hub.publish('board', i)
    const fetch = withPolling({ waitSeconds: 60, afterStreams: 1 })
    const connection = connected(url, { ...IMPATIENT, silenceMs: 0, fetch, channels: ['board'], rewind: 2 })
    await until(() => connection.told.event.length === 2)
    expect(connection.told.event.map(({ data }) => data)).toEqual([3, 4])
    await until(() => hub.stats().channels === 1)
    connection.close()
    await until(() => hub.stats().channels === 0)
  })

  it('leaves refusals to the client', async () => {
    const { hub, hop, url } = await behindHolding()
    const connection = connected(url, {
      ...IMPATIENT,
      fetch: withPolling({ waitSeconds: 60, afterStreams: 1 }),
      silenceMs: 0,
      channels: ['board'],
    })
    await until(() => connection.told.open.length)
    await until(() => hub.stats().channels === 1)
    await hub.close()
    await until(() => connection.told.error.some(({ code, status }) => code === 'ERR_SSE_STATUS' && status === 503))
    expect(hop.streams).toBe(1)
  })

  it.skipIf(nginxMissing !== undefined)(
    `delivers behind an nginx that holds streams back${nginxMissing ? ` (${nginxMissing})` : ''}`,
    async () => {
      const hub = new ChannelHub<Any>()
      const app = express()
      let streams = 0
      app.use((req, _res, next) => {
        if (req.get('accept') === 'text/event-stream') streams++
        next()
      })
      app.use('/channels', hub.router({ channels: ['>'] }))
      const nginx = await startNginx(await serve(app), HOLDING)
      onTestFinished(async () => {
        await nginx.stop()
        await hub.close()
      })
      const url = `${nginx.url}/channels`
      const plain = connected(url, { ...IMPATIENT, connectTimeoutMs: 300, channels: ['board'] })
      const connection = connected(url, {
        ...IMPATIENT,
        connectTimeoutMs: 300,
        fetch: withPolling({ waitSeconds: 2 }),
        channels: ['board'],
      })
      await until(() => connection.told.open.length)
      expect(connection.told.open[0]).toMatchObject({ polling: true })
      const position = await hub.position()
      await until(() => connection.lastEventId === position)
      for (let i = 0; i < 20; i++) await hub.publish('board', i)
      await until(() => connection.told.event.length === 20)
      expect(connection.told.event.map(({ data }) => data)).toEqual([...Array(20).keys()])
      expect(connection.told.gap).toEqual([])
      // Without it, the client receives nothing here.
      expect(plain.told.event).toEqual([])
      expect(streams).toBeGreaterThan(3)
      plain.close()
    },
  )
})

if (nginxMissing !== undefined) console.warn(`Skipped the test behind nginx. ${nginxMissing}`)

it('withPolling() names an invalid option', () => {
  expect(() => withPolling({ waitSeconds: 61 })).toThrow(
    'Option `waitSeconds` must be an integer from 1 to 60, got 61.',
  )
  expect(() => withPolling({ afterStreams: 0 })).toThrow('`afterStreams`')
  expect(() => withPolling({ wait: 1 } as never)).toThrow('has no option `wait`')
})
