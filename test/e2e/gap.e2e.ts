import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kind, Rig } from './rig.ts'

let rig: Rig

beforeAll(async () => {
  rig = await Rig.start()
})
afterAll(() => rig?.[Symbol.asyncDispose]())

describe.each<Kind>(['native', 'client'])('%s', (kind) => {
  it('receives the names of the channels with lost events, and the other events', async () => {
    const short = `short.${kind}`
    await using tab = await rig.listen({ kind, channels: ['news', short] })
    const before = [...(await rig.publish(2)), ...(await rig.publish(2, short))]
    await tab.until(`has('${before.at(-1)}')`)
    await rig.takeNetwork(tab)
    await tab.until(`count('cut') > 0`)
    // Of this channel only three are kept, of the other one all.
    const lost = await rig.publish(10, short)
    const kept = await rig.publish(10)
    await tab.page.context().setOffline(false)
    await tab.until(`has('${kept.at(-1)}')`)
    const after = await rig.publish(1, short)
    await tab.until(`has('${after[0]}')`)
    expect(await tab.heard()).toEqual([...before, ...lost.slice(-3), ...kept, ...after])
    const told = await tab.told()
    const gaps = told.filter(({ what }) => what === 'gap')
    expect(gaps).toMatchObject([{ reason: 'trimmed', channels: [short] }])
    // It stands before the remaining events.
    const at = told.findIndex(({ what }) => what === 'gap')
    const next = told.slice(at).find(({ what }) => what === 'event')
    expect(next).toMatchObject({ uid: lost[7] })
  })

  it('receives a gap when its position belongs to a lost log', async () => {
    await using tab = await rig.open()
    await tab.listen({ kind, url: '/channels?lastEventId=zzzzzz.1' })
    await tab.until(`count('gap') > 0`)
    const sent = await rig.publish(2)
    await tab.until(`has('${sent.at(-1)}')`)
    expect(await tab.heard()).toEqual(sent)
    const gaps = (await tab.told()).filter(({ what }) => what === 'gap')
    expect(gaps).toMatchObject([{ reason: 'unknown-epoch', channels: ['news'] }])
  })
})
