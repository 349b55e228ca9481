import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectShared, type SharedOptions } from '../../src/client/shared.ts'
import { FAST, rig, told, until } from './support.ts'

type Url = Parameters<typeof connectShared>[0]

function share(url: Url, options: SharedOptions) {
  const connection = connectShared(url, options)
  return { connection, told: told(connection) }
}

const Real = globalThis.BroadcastChannel

/** Web Locks that grant at once, to one holder. */
const granting = {
  request: (_: string, { signal }: { signal?: AbortSignal }, held: () => Promise<unknown>) =>
    signal?.aborted ? Promise.reject(signal.reason) : held(),
}

class NoChannel {
  constructor() {
    throw new DOMException('An opaque origin has no channels.', 'SecurityError')
  }
}

class MuteChannel extends Real {
  override postMessage(): void {
    throw new DOMException('The channel is closed.', 'InvalidStateError')
  }
}

beforeEach(() => {
  vi.stubGlobal('location', undefined)
})
afterEach(() => {
  vi.unstubAllGlobals()
})

describe('where a page may not share', () => {
  it.each([
    ['locks that reject', { request: () => Promise.reject(new DOMException('no', 'SecurityError')) }, Real],
    [
      'locks that throw',
      {
        request() {
          throw new DOMException('no', 'SecurityError')
        },
      },
      Real,
    ],
    ['a channel that cannot be made', granting, NoChannel],
    ['a channel that cannot be spoken on', granting, MuteChannel],
  ])('each tab has its own connection within a second: %s', async (_, locks, channel) => {
    vi.stubGlobal('navigator', { locks })
    vi.stubGlobal('BroadcastChannel', channel)
    const { hub, url } = await rig()
    const start = performance.now()
    const heard = share(url, { channels: ['board'], unref: true, ...FAST })
    await until(() => heard.told.open.length > 0)
    expect(performance.now() - start).toBeLessThan(5_000)
    await hub.publish('board', 1)
    await until(() => heard.told.event.length === 1)
    heard.connection.reconnect()
    await hub.publish('board', 2)
    await until(() => heard.told.event.length === 2)
    expect(heard.told.event.map(({ data }) => data)).toEqual([1, 2])
    heard.connection.close()
    await heard.connection.closed
  })

  it('asking for the locks may throw', async () => {
    vi.stubGlobal('navigator', {
      get locks() {
        throw new DOMException('no', 'SecurityError')
      },
    })
    const { url } = await rig()
    const heard = share(url, { channels: ['board'], unref: true, ...FAST })
    await until(() => heard.told.open.length > 0)
    heard.connection.close()
  })
})

describe('another script of the origin', () => {
  it('sees no token, and cannot disturb the group', async () => {
    const names: string[] = []
    vi.stubGlobal('navigator', {
      locks: {
        request: (name: string, ...rest: [never, never]) => {
          names.push(name)
          return granting.request(name, ...rest)
        },
      },
    })
    const { hub, url } = await rig()
    const headers = { authorization: 'Bearer secret-token' }
    const heard = share(`${url}?token=secret-token`, { channels: ['board'], headers, unref: true, ...FAST })
    await until(() => heard.told.open.length > 0)
    expect(names[0]).not.toContain('secret')
    const stranger = new Real(names[0]!)
    for (const message of [
      null,
      5,
      'text',
      {},
      { kind: 'told' },
      { kind: 'told', from: 'x', prev: 1 },
      { kind: 'lead', from: 5 },
    ]) {
      stranger.postMessage(message)
    }
    await hub.publish('board', 1)
    await until(() => heard.told.event.length === 1)
    expect(heard.connection.state).toBe('open')
    // A stranger that leads is heard like a tab with another version of the library.
    const told = { kind: 'told', from: 'x', prev: '', id: '', last: '', state: 'open' }
    stranger.postMessage({ kind: 'lead', from: 'x' })
    for (const wrong of [
      { ...told, type: 'closed', detail: null },
      { ...told, type: 'open', detail: null },
      { ...told, type: 'open', detail: { channels: 'board' } },
      { ...told, type: 'event', detail: { data: 1 } },
      { ...told, type: 'gap', detail: {} },
      { ...told, type: 'state', detail: { id: '' } },
      { ...told, type: 'state', detail: 'lost' },
      { ...told, type: 'error', detail: undefined },
      { ...told, type: 'constructor', detail: {} },
      { ...told, type: 'sync', detail: undefined, state: 'lost' },
    ]) {
      stranger.postMessage(wrong)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(heard.told.state.every((state: unknown) => typeof state === 'string')).toBe(true)
    expect(heard.told.event.length).toBe(1)
    stranger.close()
    heard.connection.close()
  })
})
