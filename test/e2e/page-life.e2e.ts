import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kind, Rig } from './rig.ts'

let rig: Rig

beforeAll(async () => {
  // The heartbeat is long: what wakes a connection here is not its silence.
  rig = await Rig.start({ heartbeatMs: 60_000, backForwardCache: true })
})
afterAll(() => rig?.[Symbol.asyncDispose]())

it('client resumes after a reload where the page stopped', async () => {
  await using tab = await rig.listen({ kind: 'client', store: 'position' }, { lasting: true })
  const sent: string[] = []
  for (let reloads = 1; reloads <= 3; reloads++) {
    const [uids] = await Promise.all([
      rig.publish(50),
      sleep(Math.random() * 100).then(async () => {
        await tab.page.reload()
        await tab.listen({ kind: 'client', store: 'position' }, { lasting: true })
      }),
    ])
    sent.push(...uids, ...(await rig.publish(1)))
    await tab.until(`has('${sent.at(-1)}')`)
  }
  expect(await tab.heard()).toEqual(sent)
  expect(await tab.count('gap')).toBe(0)
})

it('native forgets its position on a reload', async () => {
  await using tab = await rig.listen({ kind: 'native' }, { lasting: true })
  const sent = await rig.publish(1)
  await tab.until(`has('${sent[0]}')`)
  await tab.page.goto(`${rig.proxy.url}/elsewhere.html`)
  await rig.publish(3)
  await tab.page.goto(`${rig.proxy.url}/page.html`)
  await tab.listen({ kind: 'native' }, { lasting: true })
  await tab.until(`count('open') === 2`)
  sent.push(...(await rig.publish(1)))
  await tab.until(`has('${sent[1]}')`)
  expect(await tab.heard()).toEqual(sent)
})

describe.each<Kind>(['native', 'client'])('%s', (kind) => {
  it('misses nothing without a network', async () => {
    await using tab = await rig.listen({ kind })
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    for (let i = 0; i < 2; i++) {
      await rig.takeNetwork(tab)
      await tab.until(`count('cut') > ${i}`)
      sent.push(...(await rig.publish(10)))
      await tab.page.context().setOffline(false)
      await tab.until(`has('${sent.at(-1)}')`)
    }
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
  })

  it('receives events from the time in the back/forward cache', async () => {
    await using tab = await rig.listen({ kind })
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    await tab.page.evaluate(`addEventListener('pageshow', ({ persisted }) => { tab.persisted = persisted })`)
    await tab.page.goto(`${rig.proxy.url}/elsewhere.html`)
    // The client closes its connection during this time; Chromium keeps those of native ones.
    while ((await rig.control<number>('streams', 'GET')) !== (kind === 'native' ? 1 : 0)) await sleep(50)
    sent.push(...(await rig.publish(10)))
    await tab.page.goBack({ waitUntil: 'commit' })
    // The same page as before, with its story, and not another one.
    expect(await tab.page.evaluate('tab.persisted')).toBe(true)
    await tab.until(`has('${sent.at(-1)}')`)
    sent.push(...(await rig.publish(3)))
    await tab.until(`has('${sent.at(-1)}')`)
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
  })
})

it('client reconnects as soon as the network is back, even during a long wait', async () => {
  await using tab = await rig.listen({ kind: 'client', minMs: 600_000 })
  await rig.takeNetwork(tab)
  await tab.until(`count('cut') > 0`)
  const sent = await rig.publish(3)
  await tab.page.context().setOffline(false)
  await tab.until(`has('${sent.at(-1)}')`)
  expect(await tab.heard()).toEqual(sent)
})
