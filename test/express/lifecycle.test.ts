import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CloseReason } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { appWith, flavours, makeHub, NOBODY, open, serve } from './support.ts'

/** On a machine that has other things to do. */
const SOON = { timeout: 15_000, interval: 5 }

/** What would have ended a process that has no listener for it. */
const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', note).on('uncaughtException', note)
})
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note).off('uncaughtException', note)
  expect(unhandled).toEqual([])
})

describe.each(flavours)('with Express $version', (flavour) => {
  const { express, lib, version } = flavour

  it('a handler that throws with its stream open ends the stream, and nothing else', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.set('env', 'test')
    app.use(lib.sse())
    const reasons: CloseReason[] = []
    app.get('/thrown', (_req, res) => {
      res.sse.closed.then((reason) => reasons.push(reason))
      res.sse.send('before')
      throw new Error('internal')
    })
    app.get('/rejected', (_req, res, next) => {
      const handling = (async () => {
        res.sse.closed.then((reason) => reasons.push(reason))
        await hub.subscribe(res.sse, 'a')
        throw new Error('internal')
      })()
      // Express 4 ignores the result of a handler.
      if (version === 4) handling.catch(next)
      return version === 4 ? undefined : (handling as never)
    })
    const url = await serve(app)
    for (const path of ['/thrown', '/rejected']) {
      const stream = await open(url, path)
      await stream.ended
      expect(stream.text()).not.toContain('internal')
    }
    await vi.waitFor(() => expect(reasons).toEqual(['client', 'client']), SOON)
    expect(hub.stats()).toMatchObject(NOBODY)
  })

  it('a source that fails ends its stream cleanly: earlier items arrive', async () => {
    const app = express()
    const reported: unknown[] = []
    app.use(lib.sse({ onError: (error) => reported.push(error) }))
    app.post('/answer', express.json(), (_req, res) => {
      res.sse.stream(
        (async function* () {
          for (let i = 0; i < 2_000; i++) yield 'x'.repeat(1_000)
          throw new Error('internal')
        })(),
        { onError: () => ({ error: 'sorry' }) },
      )
    })
    const url = await serve(app)
    const stream = await open(url, '/answer', {
      method: 'POST',
      body: '{}',
      headers: { 'Content-Type': 'application/json' },
    })
    for (let i = 0; i < 2_000; i++) expect((await stream.next()).data).toHaveLength(1_000)
    expect((await stream.next()).json()).toEqual({ error: 'sorry' })
    await stream.ended
    expect(stream.text()).not.toContain('internal')
    expect(reported).toHaveLength(1)
  })

  it('a publish without await while the hub closes does not end the process', async () => {
    const hub = new lib.ChannelHub()
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    hub.publish('a', 1)
    const closed = hub.close()
    hub.publish('a', 2)
    hub.publishAll([{ channel: 'a', data: 3 }])
    await closed
    hub.publish('a', 4)
    await vi.waitFor(() => expect(errors).toHaveLength(3), SOON)
    for (const error of errors) expect(error).toMatchObject({ code: 'ERR_SSE_HUB_CLOSED' })
  })

  it('a peer that says that it has nothing more to say is gone', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
    socket.write('GET /channels/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n')
    await new Promise((resolve) => socket.once('data', resolve))
    expect(hub.stats().streams).toBe(1)
    socket.end()
    await vi.waitFor(() => expect(hub.stats()).toMatchObject(NOBODY), SOON)
    socket.destroy()
  })

  it('leaves nothing behind after churn: streams, sockets, timers, listeners', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    const url = await serve(appWith(flavour, hub))
    const port = Number(new URL(url).port)
    const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
    const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
    await hub.publish('a', 0)
    const before = { sockets: sockets(), listeners: listeners(), timers: clock.pendingTimers }
    for (let round = 0; round < 10; round++) {
      const clients = Array.from({ length: 40 }, (_, i) => {
        const socket = connect(port, '127.0.0.1')
        socket.on('error', () => {})
        socket.write(
          `GET /channels?channel=a&channel=b.* HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ${i % 3 === 0 ? 'x' : ''}\r\n\r\n`,
        )
        // At any time: before the request is read, while it is served, and when it is live.
        setTimeout(() => (i % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()), i % 8)
        return socket
      })
      hub.publish('a', round)
      await Promise.all(clients.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    }
    await vi.waitFor(() => expect(hub.stats()).toMatchObject(NOBODY), SOON)
    await vi.waitFor(() => expect(sockets()).toBeLessThanOrEqual(before.sockets), SOON)
    expect(listeners()).toBe(before.listeners)
    expect(clock.pendingTimers).toBe(before.timers)
  })
})
