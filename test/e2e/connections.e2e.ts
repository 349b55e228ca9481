import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kind, Rig } from './rig.ts'

let rig: Rig

beforeAll(async () => {
  rig = await Rig.start()
})
afterAll(() => rig?.[Symbol.asyncDispose]())

describe.each<Kind>(['native', 'client'])('%s', (kind) => {
  it('receives every event once when the server is killed, restarted, and publishes in between', async () => {
    await using tab = await rig.listen({ kind })
    const sent = await rig.publish(5)
    await tab.until(`has('${sent.at(-1)}')`)
    for (let kills = 1; kills <= 3; kills++) {
      await rig.hub.kill()
      await tab.until(`count('cut') > 0`)
      await rig.hub.start()
      sent.push(...(await rig.publish(5)))
      await tab.until(`has('${sent.at(-1)}')`)
    }
    expect(await tab.heard()).toEqual(sent)
    const told = await tab.told()
    expect(told.filter(({ what }) => what === 'open')).toMatchObject([
      { resumed: false },
      ...Array(3).fill({ resumed: true }),
    ])
    expect(await tab.count('gap')).toBe(0)
    expect(tab.errors).toEqual([])
  })

  it('hears everything once when its connection is cut in the middle of a burst', async () => {
    await using tab = await rig.listen({ kind })
    const sent: string[] = []
    for (let cuts = 0; cuts < 5; cuts++) {
      const opened = await tab.count('open')
      const [uids] = await Promise.all([rig.publish(50), sleep(Math.random() * 50).then(() => rig.proxy.cut())])
      sent.push(...uids)
      await tab.until(`count('open') > ${opened}`)
    }
    await tab.until(`has('${sent.at(-1)}')`)
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
  })

  it('receives held-back bytes at once, without a new connection', async () => {
    await using tab = await rig.listen({ kind, silenceMs: 60_000 })
    const sent = await rig.publish(2)
    await tab.until(`has('${sent.at(-1)}')`)
    expect(rig.proxy.hold()).toBeGreaterThan(0)
    const held = await rig.publish(20)
    expect(await tab.heard()).toEqual(sent)
    rig.proxy.flow()
    await tab.until(`has('${held.at(-1)}')`)
    expect(await tab.heard()).toEqual([...sent, ...held])
    expect(await tab.count('open')).toBe(1)
  })
})

it('client notices on its own that an open connection is dead', async () => {
  await using tab = await rig.listen({ kind: 'client' })
  const sent = await rig.publish(2)
  await tab.until(`has('${sent.at(-1)}')`)
  rig.proxy.stall()
  sent.push(...(await rig.publish(20)))
  // Three heartbeats of silence, whose interval the hub has sent.
  await tab.until(`has('${sent.at(-1)}')`)
  expect(await tab.heard()).toEqual(sent)
  expect((await tab.told()).filter(({ what }) => what === 'error')).toMatchObject([{ error: 'ERR_SSE_TIMEOUT' }])
  expect(await tab.count('gap')).toBe(0)
})

it('native does not notice, and resumes at its position when the connection ends', async () => {
  await using tab = await rig.listen({ kind: 'native' })
  const sent = await rig.publish(2)
  await tab.until(`has('${sent.at(-1)}')`)
  rig.proxy.stall()
  const missed = await rig.publish(20)
  // Longer than it takes the client above.
  await sleep(3_000)
  expect(await tab.heard()).toEqual(sent)
  expect(await tab.count('cut')).toBe(0)
  rig.proxy.cut()
  await tab.until(`has('${missed.at(-1)}')`)
  expect(await tab.heard()).toEqual([...sent, ...missed])
  expect(await tab.count('gap')).toBe(0)
})
