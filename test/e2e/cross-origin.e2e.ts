import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kind, Rig } from './rig.ts'

let rig: Rig

beforeAll(async () => {
  rig = await Rig.start()
})
afterAll(() => rig?.[Symbol.asyncDispose]())

interface Requested {
  readonly method: string
  readonly lastEventId: string
  readonly lastEventIdBy: string
}
const requested = () => rig.control<Requested[]>('requests', 'GET')

describe.each<Kind>(['native', 'client'])('%s', (kind) => {
  it('listens across origins with cookies, and reconnects without a preflight', async () => {
    // The page is the hub's own; its stream comes from the proxy, which is another origin.
    await using tab = await rig.open(`${rig.hub.url}/page.html`)
    await tab.page.request.get(`${rig.proxy.url}/control/cookie`)
    await requested()
    await tab.listen({ kind, url: `${rig.proxy.url}/visitors`, credentials: true })
    await tab.until(`count('open') > 0`)
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    for (let cuts = 1; cuts <= 2; cuts++) {
      rig.proxy.cut()
      sent.push(...(await rig.publish(3)))
      await tab.until(`has('${sent.at(-1)}')`)
    }
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
    const [first, ...others] = await requested()
    expect(first).toMatchObject({ method: 'GET', lastEventId: '' })
    // A header would need a preflight, unless it is the browser's own.
    const by = kind === 'native' ? 'header' : 'query'
    expect(others.length).toBeGreaterThanOrEqual(2)
    for (const { method, lastEventId, lastEventIdBy } of others) {
      expect({ method, lastEventIdBy }).toEqual({ method: 'GET', lastEventIdBy: by })
      expect(lastEventId).toMatch(/^[0-9A-Za-z]{6}\.[0-9a-z]+$/)
    }
  })

  it('is refused without its cookies', async () => {
    await using tab = await rig.open(`${rig.hub.url}/page.html`)
    await tab.page.request.get(`${rig.proxy.url}/control/cookie`)
    await tab.listen({ kind, url: `${rig.proxy.url}/visitors` })
    await tab.until(`count('closed') > 0`)
    expect(await tab.count('open')).toBe(0)
  })

  it('hears nothing across origins of a hub that does not allow it', async () => {
    await using tab = await rig.open(`${rig.hub.url}/page.html`)
    await tab.listen({ kind, url: `${rig.proxy.url}/channels` })
    if (kind === 'native') await tab.until(`count('closed') > 0`)
    // What the browser keeps from a page looks like a broken network to it, which may pass.
    else await tab.until(`count('error') > 2`)
    expect(await tab.count('open')).toBe(0)
  })
})
