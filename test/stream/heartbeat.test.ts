import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import { type Beating, Heartbeat } from '../../src/stream/heartbeat.ts'
import { manualClock } from '../../src/testing/index.ts'
import { exchange } from '../support/exchange.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

const counting = (): Beating & { beats: number } => ({
  beats: 0,
  heartbeat() {
    this.beats++
  },
})

describe('Heartbeat', () => {
  it('is one timer for each clock and interval, which runs only while it has members', () => {
    const clock = manualClock()
    const [a, b] = [counting(), counting()]
    const heartbeat = Heartbeat.of(clock, 1_000)
    expect(Heartbeat.of(clock, 1_000)).toBe(heartbeat)
    expect(Heartbeat.of(clock, 2_000)).not.toBe(heartbeat)
    expect(Heartbeat.of(manualClock(), 1_000)).not.toBe(heartbeat)
    heartbeat.add(a)
    heartbeat.add(b)
    expect(clock.pendingTimers).toBe(1)
    clock.advance(3_500)
    heartbeat.delete(a)
    heartbeat.delete(a)
    clock.advance(1_000)
    expect([a.beats, b.beats, clock.pendingTimers]).toEqual([3, 4, 1])
    heartbeat.delete(b)
    expect(clock.pendingTimers).toBe(0)
    heartbeat.add(a)
    clock.advance(1_000)
    expect([a.beats, b.beats]).toEqual([4, 4])
  })

  it('leaves out those that leave during a round, and ends with the last', () => {
    const clock = manualClock()
    const heartbeat = Heartbeat.of(clock, 1_000)
    const b = counting()
    heartbeat.add({
      heartbeat() {
        heartbeat.delete(this)
        heartbeat.delete(b)
      },
    })
    heartbeat.add(b)
    clock.advance(5_000)
    expect([b.beats, clock.pendingTimers]).toEqual([0, 0])
  })

  it('gives the event loop its turn after each thousand', async () => {
    const clock = manualClock()
    const heartbeat = Heartbeat.of(clock, 1_000)
    const members = Array.from({ length: 2_500 }, counting)
    for (const member of members) heartbeat.add(member)
    const beaten = () => members.filter(({ beats }) => beats === 1).length
    clock.advance(1_000)
    expect(beaten()).toBe(1_000)
    await turn()
    expect(beaten()).toBe(2_000)
    await turn()
    expect(beaten()).toBe(2_500)
    await turn()
    expect(beaten()).toBe(2_500)
  })
})

describe('heartbeats of a stream', () => {
  it('are comments every 15 seconds', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    x.sse.open()
    const client = await x.client
    await x.sse.drained()
    clock.advance(14_999)
    x.req.socket.cork()
    x.sse.send('a')
    clock.advance(1)
    x.sse.send('b')
    x.req.socket.uncork()
    await client.next()
    await client.next()
    expect(client.text()).toBe(':\ndata: a\n\ndata: b\n\n')
    await x.sse.drained()
    clock.advance(15_000)
    x.sse.send('c')
    await client.next()
    expect(client.text()).toBe(':\ndata: a\n\ndata: b\n\n:\ndata: c\n\n')
  })

  it('are the frames of the owner', async () => {
    const clock = manualClock()
    const frames = [Frame.of('event: hub.position\ndata: {}\n\n'), undefined]
    await using x = await exchange({ sse: { clock, heartbeatIntervalMs: 1_000 } })
    x.stream.claim({
      heartbeat: () => frames.shift(),
      form: 'plain' as const,
      maxLagMs: 0,
      tick: () => {},
      farewell: () => undefined,
      closed: () => {},
    })
    x.stream.commit()
    const client = await x.client
    clock.advance(1_000)
    expect(await client.next()).toMatchObject({ event: 'hub.position' })
    await x.sse.drained()
    clock.advance(1_000)
    x.sse.send('a')
    await client.next()
    expect(client.text()).toBe('event: hub.position\ndata: {}\n\n:\ndata: a\n\n')
  })

  it('are left out while bytes wait, and the owner is not asked', async () => {
    const clock = manualClock()
    let asked = 0
    await using x = await exchange({ sse: { clock, heartbeatIntervalMs: 1_000 } })
    x.stream.claim({
      heartbeat() {
        asked++
        return undefined
      },
      form: 'plain' as const,
      maxLagMs: 0,
      tick: () => {},
      farewell: () => undefined,
      closed: () => {},
    })
    x.stream.commit()
    const client = await x.client
    x.req.socket.cork()
    x.sse.send('a')
    clock.advance(5_000)
    expect(asked).toBe(0)
    x.req.socket.uncork()
    await client.next()
    clock.advance(1_000)
    expect(asked).toBe(1)
  })

  it('may be off', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock, heartbeatIntervalMs: 0 } })
    x.sse.open()
    expect(clock.pendingTimers).toBe(0)
    x.sse.close()
    await (await x.client).ended
  })

  it('end with the stream', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    x.sse.open()
    await using y = await exchange({ sse: { clock } })
    y.sse.open()
    expect(clock.pendingTimers).toBe(1)
    x.sse.close()
    expect(clock.pendingTimers).toBe(1)
    ;(await y.client).drop()
    await y.sse.closed
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('a heartbeat', () => {
  it('ends a stream whose connection is gone without an event of the response', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    x.sse.open()
    await x.client
    x.res.removeAllListeners('close')
    x.req.socket.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    expect(x.sse.state).toBe('open')
    clock.advance(15_000)
    expect(await x.sse.closed).toBe('client')
    expect(clock.pendingTimers).toBe(0)
  })
})
