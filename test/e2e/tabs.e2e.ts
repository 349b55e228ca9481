import { setTimeout as sleep } from 'node:timers/promises'
import type { BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Kind, Rig, type Tab } from './rig.ts'

const TABS = 10

let rig: Rig
let context: BrowserContext

beforeAll(async () => {
  rig = await Rig.start()
})
afterAll(() => rig?.[Symbol.asyncDispose]())
beforeEach(async () => {
  context = await rig.browser.newContext()
})
afterEach(() => context.close())

/** So many tabs of one browser that listen to the same. */
async function openTabs(kind: Kind, how?: { worker: boolean }): Promise<Tab[]> {
  const tabs: Tab[] = []
  for (let i = 0; i < TABS; i++) {
    tabs.push(await rig.open(undefined, context))
  }
  // With native ones not a seventh page could be loaded.
  for (const tab of tabs) await tab.listen({ kind }, how)
  return tabs
}

const streams = () => rig.control<number>('streams', 'GET')
const all = <T>(tabs: readonly Tab[], fn: (tab: Tab) => Promise<T>) => Promise.all(tabs.map(fn))

it('ten native tabs take all six connections of HTTP/1.1, and nothing else gets through', async () => {
  const tabs = await openTabs('native')
  while ((await streams()) < 6) await sleep(50)
  const answered = tabs[0]!.page.evaluate<string>(`fetch('/control/token').then(({ status }) => status)`)
  expect(await Promise.race([answered, sleep(2_000, 'nothing')])).toBe('nothing')
  expect(await streams()).toBe(6)
  await all(tabs, ({ page }) => page.evaluate('tab.stop()'))
  expect(await answered).toBe(200)
})

describe.each([{ worker: false }, { worker: true }])('ten tabs that share, worker: $worker', (how) => {
  it('have one connection between them, and an ordinary fetch gets through', async () => {
    const tabs = await openTabs('shared', how)
    await all(tabs, (tab) => tab.until(`count('open') > 0`))
    expect(await streams()).toBe(1)
    const sent = await rig.publish(20)
    await all(tabs, (tab) => tab.until(`has('${sent.at(-1)}')`))
    for (const tab of tabs) expect(await tab.heard()).toEqual(sent)
    expect(await tabs[9]!.page.evaluate(`fetch('/control/token').then(({ status }) => status)`)).toBe(200)
    expect(await streams()).toBe(1)
  })

  it('lose nothing and hear nothing twice when the one that has the connection is closed, again and again', async () => {
    const tabs = await openTabs('shared', how)
    await all(tabs, (tab) => tab.until(`count('open') > 0`))
    const sent: string[] = []
    while (tabs.length > 1) {
      // The oldest has it: the others wait in line for it.
      const [uids] = await Promise.all([
        rig.publish(20),
        sleep(Math.random() * 50).then(() => tabs.shift()!.page.close()),
      ])
      sent.push(...uids)
      await all(tabs, (tab) => tab.until(`has('${sent.at(-1)}')`))
    }
    expect(await tabs[0]!.heard()).toEqual(sent)
    expect(await tabs[0]!.count('gap')).toBe(0)
    while ((await streams()) !== 1) await sleep(50)
  })

  it('lose nothing when the connection is cut, and when the server is killed', async () => {
    const tabs = await openTabs('shared', how)
    await all(tabs, (tab) => tab.until(`count('open') > 0`))
    const sent = await rig.publish(5)
    rig.proxy.cut()
    sent.push(...(await rig.publish(5)))
    await all(tabs, (tab) => tab.until(`has('${sent.at(-1)}')`))
    await rig.hub.kill()
    await rig.hub.start()
    sent.push(...(await rig.publish(5)))
    await all(tabs, (tab) => tab.until(`has('${sent.at(-1)}')`))
    for (const tab of tabs) {
      expect(await tab.heard()).toEqual(sent)
      expect(await tab.count('gap')).toBe(0)
      expect(tab.errors).toEqual([])
    }
    expect(await streams()).toBe(1)
  })
})

it('a later tab receives the events from then on, and shares the connection', async () => {
  const tabs = await openTabs('shared')
  await all(tabs, (tab) => tab.until(`count('open') > 0`))
  const before = await rig.publish(5)
  await all(tabs, (tab) => tab.until(`has('${before.at(-1)}')`))
  const late = await rig.open(undefined, context)
  await late.listen({ kind: 'shared' })
  await late.until(`count('open') > 0`)
  const after = await rig.publish(5)
  await late.until(`has('${after.at(-1)}')`)
  expect(await late.heard()).toEqual(after)
  expect(await streams()).toBe(1)
})
