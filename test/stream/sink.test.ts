import { describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream, responseStreamOf } from '../../src/stream/http-event-stream.ts'
import { ResponseSink } from '../../src/stream/response-sink.ts'
import { exchange } from '../support/exchange.ts'
import { RawClient } from '../support/raw-client.ts'
import { serve } from '../support/serve.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const MIB = 1_048_576

describe('a peer that is behind', () => {
  it('shows in what send returns, in bufferedBytes and in drained()', async () => {
    await using x = await exchange()
    x.sse.open()
    const client = await x.client
    await x.sse.drained()
    expect(x.sse.bufferedBytes).toBe(0)
    x.req.socket.cork()
    expect(x.sse.send('x'.repeat(500_000))).toBe(false)
    expect(x.sse.send('y')).toBe(false)
    expect(x.sse.bufferedBytes).toBeGreaterThan(500_000)
    expect(x.stream.unsentBytes).toBeGreaterThanOrEqual(x.sse.bufferedBytes)
    let drained = 0
    const both = Promise.all([x.sse.drained().then(() => drained++), x.sse.drained().then(() => drained++)])
    await turn()
    expect(drained).toBe(0)
    x.req.socket.uncork()
    await both
    expect(x.sse.bufferedBytes).toBe(0)
    expect(x.sse.send('z')).toBe(true)
    expect([
      (await client.next({ timeoutMs: 30_000 })).data.length,
      (await client.next()).data,
      (await client.next()).data,
    ]).toEqual([500_000, 'y', 'z'])
  })

  it('may leave: drained() resolves', async () => {
    await using x = await exchange()
    x.sse.open()
    await x.client
    x.req.socket.cork()
    x.sse.send('x'.repeat(500_000))
    const drained = x.sse.drained()
    ;(await x.client).drop()
    await drained
    expect(x.sse.state).toBe('closed')
    await x.sse.drained()
  })

  it('may catch up after the end: drained() has resolved by then', async () => {
    await using x = await exchange()
    x.sse.open()
    const client = await x.client
    // More than the kernel takes for a peer that does not read, which it does only in a later turn.
    x.sse.send('x'.repeat(40_000_000))
    const drained = x.sse.drained()
    x.sse.close()
    await drained
    expect(x.sse.bufferedBytes).toBeGreaterThan(500_000)
    expect((await client.next({ timeoutMs: 30_000 })).data.length).toBe(40_000_000)
    await client.ended
  })

  it('is cut with the reason slow once maxBufferedBytes wait, which one event of any size may go beyond', async () => {
    await using x = await exchange({ sse: { maxBufferedBytes: 100_000 } })
    x.sse.open()
    const client = await x.client
    await x.sse.drained()
    x.req.socket.cork()
    x.sse.send('x'.repeat(5 * MIB))
    expect(x.sse.state).toBe('open')
    expect(x.sse.send('y')).toBe(false)
    expect(x.sse.state).toBe('closed')
    expect(await x.sse.closed).toBe('slow')
    expect(x.req.socket.destroyed).toBe(true)
    await client.ended
    expect(client.text()).not.toContain('y')
  })

  it('stays while less than maxBufferedBytes wait', async () => {
    await using x = await exchange({ sse: { maxBufferedBytes: 2 * MIB } })
    x.sse.open()
    await x.client
    await x.sse.drained()
    x.req.socket.cork()
    x.sse.send('x'.repeat(MIB))
    x.sse.comment('y'.repeat(MIB / 2))
    x.sse.send('z')
    expect(x.sse.state).toBe('open')
  })

  it('is cut when it never reads, so that memory stays bounded', async () => {
    let sse: EventStream | undefined
    await using server = await serve((req, res) => {
      sse = eventStream(req, res, { maxBufferedBytes: MIB })
      sse.open()
    })
    using client = await RawClient.connect(server.port)
    client.request('GET /')
    await client.until('\r\n\r\n')
    client.socket.pause()
    let most = 0
    for (let i = 0; i < 10_000 && sse!.state === 'open'; i++) {
      sse!.send('x'.repeat(64 * 1024))
      most = Math.max(most, sse!.bufferedBytes)
      await turn()
    }
    expect(await sse!.closed).toBe('slow')
    expect(most).toBeLessThan(MIB + 2 * 64 * 1024)
    client.socket.resume()
    await client.closed
  })

  it('shows its progress within one large write in unsentBytes', async () => {
    let sse: EventStream | undefined
    await using server = await serve((req, res) => {
      sse = eventStream(req, res)
      sse.open()
    })
    using client = await RawClient.connect(server.port)
    client.request('GET /')
    await client.until('\r\n\r\n')
    client.socket.pause()
    sse!.send('x'.repeat(40 * MIB))
    await turn()
    const before = responseStreamOf(sse)!.unsentBytes
    expect(before).toBeGreaterThan(40 * MIB)
    let read = 0
    client.socket.on('data', (bytes) => {
      read += bytes.length
      if (read > 10 * MIB) client.socket.pause()
    })
    client.socket.resume()
    await vi.waitFor(() => expect(responseStreamOf(sse)!.unsentBytes).toBeLessThan(before), { timeout: 15_000 })
    expect(sse!.bufferedBytes).toBeGreaterThan(0)
  })
})

describe('ResponseSink', () => {
  it('counts the bytes that a wrapper delays, which the response does not show', async () => {
    await using x = await exchange()
    const held: Buffer[] = []
    const write = x.res.write.bind(x.res)
    const flush = vi.fn()
    let holding = false
    Object.assign(x.res, { write: (bytes: Buffer) => (holding ? held.push(bytes) < 0 : write(bytes)), flush })
    x.sse.open()
    holding = true
    flush.mockClear()
    expect(x.sse.send('abc')).toBe(false)
    expect(x.sse.bufferedBytes).toBe(Buffer.byteLength('data: abc\n\n'))
    expect(flush).toHaveBeenCalledOnce()
    for (const bytes of held) write(bytes)
    x.res.emit('drain')
    await x.sse.drained()
    expect((await (await x.client).next()).data).toBe('abc')
    expect(x.sse.bufferedBytes).toBe(0)
  })

  it('writes nothing to a response that is over', async () => {
    await using x = await exchange()
    x.sse.open()
    x.res.destroy()
    expect(x.sse.send('a')).toBe(false)
    await x.sse.closed
    const sink = new ResponseSink(x.res, () => {})
    expect(sink.unsentBytes).toBe(sink.bufferedBytes)
    expect(sink.write(Frame.of('a'))).toBe(false)
  })

  it('ends a body once', async () => {
    await using x = await exchange()
    x.sse.open()
    const sink = new ResponseSink(x.res, () => {})
    sink.end(false)
    const listeners = x.res.listenerCount('finish')
    sink.end(true)
    expect(x.res.listenerCount('finish')).toBe(listeners)
    await (await x.client).ended
  })
})
