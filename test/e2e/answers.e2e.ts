import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kind, Rig } from './rig.ts'

let rig: Rig

beforeAll(async () => {
  rig = await Rig.start()
})
afterAll(() => rig?.[Symbol.asyncDispose]())

interface Requested {
  readonly method: string
  readonly path: string
}

/** The requests for streams since the last time, and only those. */
const requested = () => rig.control<Requested[]>('requests', 'GET')

describe('a hop that answers 503 for a while', () => {
  it('makes the client wait and resume at its position', async () => {
    await using tab = await rig.listen({ kind: 'client', url: '/unavailable' })
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    await rig.control('away')
    await tab.until(`count('error') >= 4`)
    sent.push(...(await rig.publish(3)))
    await rig.control('back')
    await tab.until(`has('${sent.at(-1)}')`)
    expect(await tab.heard()).toEqual(sent)
    const told = await tab.told()
    expect(new Set(told.flatMap((one) => (one.what === 'error' ? [one.error] : [])))).toEqual(
      new Set(['ERR_SSE_STATUS']),
    )
    expect(await tab.count('gap')).toBe(0)
  })

  it('ends a native EventSource permanently', async () => {
    await using tab = await rig.listen({ kind: 'native', url: '/unavailable' })
    await rig.control('away')
    await tab.until(`count('closed') > 0`)
    await rig.control('back')
    const missed = await rig.publish(1)
    await sleep(2_000)
    expect(await tab.heard()).not.toContain(missed[0])
  })
})

describe.each<Kind>(['native', 'client'])('%s', (kind) => {
  it('reconnects to a hub that could not answer for a while', async () => {
    await using tab = await rig.listen({ kind, url: '/overloaded' })
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    await requested()
    await rig.control('away')
    const attempts: Requested[] = []
    while (attempts.length < 3) {
      attempts.push(...(await requested()))
      await sleep(50)
    }
    sent.push(...(await rig.publish(3)))
    await rig.control('back')
    await tab.until(`has('${sent.at(-1)}')`)
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
    expect(await tab.count('closed')).toBe(0)
  })

  it.each(['/no-content', '/finished'])('does not reconnect after %s', async (url) => {
    await using tab = await rig.open()
    await requested()
    await tab.listen({ kind, url, channels: [] })
    await tab.until(`count('closed') > 0`)
    await sleep(2_500)
    const paths = (await requested()).map(({ path }) => path)
    // A native EventSource needs a 204 as well, unless the page closes it on `hub.finished`.
    expect(paths).toEqual(kind === 'native' && url === '/finished' ? [url, url] : [url])
    const closed = (await tab.told()).filter(({ what }) => what === 'closed')
    expect(closed).toEqual([{ what: 'closed', reason: kind === 'native' ? 'failed' : 'finished' }])
  })
})

describe('a token that is no longer good', () => {
  it('is fetched again once, and the stream resumes at its position', async () => {
    await using tab = await rig.listen({ kind: 'client', url: '/tokens', token: true })
    const sent = await rig.publish(3)
    await tab.until(`has('${sent.at(-1)}')`)
    await requested()
    for (let i = 2; i <= 4; i++) {
      await rig.control('token')
      sent.push(...(await rig.publish(3)))
      await tab.until(`has('${sent.at(-1)}')`)
      // Once refused, once taken.
      expect(await requested()).toHaveLength(2)
    }
    expect(await tab.heard()).toEqual(sent)
    expect(await tab.count('gap')).toBe(0)
    expect(await tab.count('error')).toBe(0)
  })

  it('ends the connection when the next one is refused as well', async () => {
    await using tab = await rig.listen({ kind: 'client', url: '/tokens', token: true })
    await requested()
    await tab.page.route('**/control/token', (route) => route.fulfill({ body: '-1' }))
    await rig.control('token')
    await tab.until(`count('closed') > 0`)
    expect(await requested()).toHaveLength(2)
    expect((await tab.told()).at(-1)).toEqual({ what: 'closed', reason: 'failed' })
  })
})
