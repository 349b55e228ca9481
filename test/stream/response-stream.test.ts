import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import { resolveSseOptions } from '../../src/stream/options.ts'
import type { StreamOwner } from '../../src/stream/stream-owner.ts'
import { exchange } from '../support/exchange.ts'

const withCode = (code: string) => expect.objectContaining({ code })

describe('the owner of a stream', () => {
  const owner = (more: Partial<StreamOwner> = {}) => {
    const reasons: string[] = []
    return {
      form: 'plain' as const,
      maxLagMs: 0,
      tick: () => {},
      reasons,
      heartbeat: () => undefined,
      farewell: () => undefined,
      closed: (r: string) => void reasons.push(r),
      ...more,
    }
  }

  it('is the only one', async () => {
    await using x = await exchange()
    x.stream.claim(owner())
    expect(() => x.stream.claim(owner())).toThrow(expect.objectContaining({ code: 'ERR_SSE_SUBSCRIBED', status: 500 }))
  })

  it('keeps the IDs to itself', async () => {
    await using x = await exchange()
    x.stream.claim(owner())
    expect(() => x.sse.send('a', { id: '1' })).toThrow(withCode('ERR_SSE_ID_RESERVED'))
    expect(x.res.headersSent).toBe(false)
    expect(x.sse.send('a', { event: 'tick' })).toBe(true)
    expect(await (await x.client).next()).toMatchObject({ event: 'tick', data: 'a' })
  })

  it('writes its own first block, and the last one', async () => {
    const claimed = owner({ farewell: (reason) => Frame.of(`event: bye\ndata: ${reason}\n\n`) })
    await using x = await exchange({ sse: { retryMs: 1_000 } })
    x.stream.claim(claimed)
    expect(x.stream.commit()).toBe(true)
    expect(x.stream.commit()).toBe(true)
    expect(x.stream.write(Frame.of('data: first\n\n'))).toBe(true)
    x.sse.close('expired')
    expect(x.stream.write(Frame.of('data: late\n\n'))).toBe(false)
    const client = await x.client
    await client.ended
    expect(client.text()).toBe('data: first\n\nevent: bye\ndata: expired\n\n')
    expect(claimed.reasons).toEqual(['expired'])
  })

  it.each(['client', 'slow'] as const)('writes no farewell to a peer that does not read: %s', async (reason) => {
    let asked = 0
    const claimed = owner({
      farewell() {
        asked++
        return undefined
      },
    })
    await using x = await exchange()
    x.stream.claim(claimed)
    x.stream.commit()
    x.sse.close(reason)
    x.sse.close('shutdown')
    expect([asked, claimed.reasons]).toEqual([0, [reason]])
  })

  it('is called exactly once when the client leaves', async () => {
    const claimed = owner()
    await using x = await exchange()
    x.stream.claim(claimed)
    x.stream.commit()
    ;(await x.client).drop()
    await x.sse.closed
    x.sse.close()
    expect(claimed.reasons).toEqual(['client'])
  })
})

describe('a response as a stream of frames', () => {
  it('has the response and the options, of which the last before the head win', async () => {
    await using x = await exchange({ sse: { heartbeatIntervalMs: 1_000 } })
    expect(x.stream.response).toBe(x.res)
    expect([x.stream.highWaterMark, x.stream.unsentBytes, x.sse.bufferedBytes]).toEqual([0, 0, 0])
    x.stream.configure(resolveSseOptions({ heartbeatIntervalMs: 2_000, retryMs: 5_000 }))
    expect(x.stream.heartbeatIntervalMs).toBe(2_000)
    expect(x.stream.retryMs).toBeGreaterThanOrEqual(5_000)
    x.sse.open()
    x.stream.configure(resolveSseOptions({ heartbeatIntervalMs: 3_000 }))
    expect(x.stream.heartbeatIntervalMs).toBe(2_000)
    expect(x.stream.highWaterMark).toBeGreaterThan(0)
  })

  it('asks for a reconnection time of 2 to 4 seconds without retryMs', async () => {
    await using x = await exchange()
    expect(x.stream.retryMs).toBeGreaterThanOrEqual(2_000)
    expect(x.stream.retryMs).toBeLessThan(4_000)
  })

  it('calls no onDrain listener before the head and after the end', async () => {
    await using x = await exchange()
    let drains = 0
    x.stream.onDrain(() => drains++)
    expect(drains).toBe(0)
    x.sse.open()
    x.stream.onDrain(() => drains++)
    expect(drains).toBe(1)
    x.sse.close()
    x.stream.onDrain(() => drains++)
    expect(drains).toBe(1)
  })
})
