import { setMaxListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { connectShared, type SharedOptions } from '../../src/client/shared.ts'
import { memoryBroker } from '../../src/index.ts'
import { type Any, FAST, rig, type Told, told, until } from './support.ts'

type Held = () => Promise<unknown>

/** Web Locks as one process has them: exclusive, in line, and with `steal`. */
class Locks {
  readonly #lines = new Map<string, { grant(): void; stop(): void }[]>()

  request(name: string, { signal, steal }: { signal?: AbortSignal; steal?: boolean }, held: Held): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const line = this.#lines.get(name) ?? []
      this.#lines.set(name, line)
      const leave = () => {
        const at = line.indexOf(entry)
        if (at === -1) return
        line.splice(at, 1)
        if (at === 0) line[0]?.grant()
      }
      const entry = {
        grant: () =>
          queueMicrotask(() => {
            held().then(
              (value) => {
                resolve(value)
                leave()
              },
              (error) => {
                reject(error)
                leave()
              },
            )
          }),
        stop() {
          const stolen = () => reject(new DOMException('Stolen', 'AbortError'))
          // A frozen tab receives it when it thaws.
          if (frozen.size > 0) thawed.addEventListener('thaw', stolen)
          else stolen()
        },
      }
      signal?.addEventListener('abort', () => {
        if (line[0] === entry) return
        reject(signal.reason)
        leave()
      })
      if (steal) {
        line.shift()?.stop()
        line.unshift(entry)
      } else line.push(entry)
      if (line[0] === entry) entry.grant()
    })
  }
}

/** The channels of a tab can be frozen: incoming and outgoing messages then wait. */
const frozen = new Set<number>()
/** Each tab makes two, in the order in which they were opened. */
let made = 0
let thawed: EventTarget
const Real = globalThis.BroadcastChannel
class Freezable extends Real {
  readonly #tab = Math.ceil(++made / 2)
  #handler: ((event: never) => void) | null = null
  readonly #waiting: unknown[] = []
  readonly #unsaid: unknown[] = []

  constructor(name: string) {
    super(name)
    thawed.addEventListener('thaw', () => {
      for (const message of this.#unsaid.splice(0)) super.postMessage(message)
      for (const event of this.#waiting.splice(0)) this.#handler?.(event as never)
    })
  }

  override postMessage(message: unknown): void {
    if (frozen.has(this.#tab)) this.#unsaid.push(message)
    else super.postMessage(message)
  }

  // @ts-expect-error an accessor in place of a property
  override set onmessage(handler: (event: never) => void) {
    this.#handler = handler
    this.addEventListener('message', (event) => {
      if (frozen.has(this.#tab)) this.#waiting.push(event)
      else handler(event as never)
    })
  }
}

beforeEach(() => {
  vi.stubGlobal('navigator', { locks: new Locks() })
  vi.stubGlobal('BroadcastChannel', Freezable)
  frozen.clear()
  thawed = new EventTarget()
  setMaxListeners(0, thawed)
  made = 0
})
afterEach(() => {
  vi.unstubAllGlobals()
})

type Tab = ReturnType<typeof connectShared<Any>> & { told: Told }

function open(url: string, options: SharedOptions<Any> = {}): Tab {
  const connection = connectShared<Any>(url, { channels: ['board'], retry: { ...FAST, resetMs: 0 }, ...options })
  onTestFinished(() => connection.close())
  return Object.assign(connection, { told: told(connection) })
}

const data = ({ told }: Tab) => told.event.map(({ data }) => data)
const upTo = (n: number) => [...Array(n).keys()]

describe('tabs that share a connection', () => {
  it('each hear the events of ephemeral channels', async () => {
    const history = { channels: { 'typing.*': { ephemeral: true } } }
    const { hub, url } = await rig({ broker: memoryBroker({ history }) })
    const tabs = upTo(3).map(() => open(url, { channels: ['board', 'typing.*'] }))
    await until(() => tabs.every(({ told }) => told.open.length))
    for (let i = 0; i < 20; i++) void hub.publish(i % 3 === 0 ? 'board' : 'typing.7', i)
    await until(() => tabs.every(({ told }) => told.event.length === 20))
    for (const tab of tabs) {
      expect(data(tab)).toEqual(upTo(20))
      expect(tab.lastEventId).toBe(await hub.position())
    }
    expect(hub.stats().streams).toBe(1)
  })

  it('receive the state of a channel that the leader was sent in place of a gap', async () => {
    const { hub, url, proxy } = await rig({ broker: memoryBroker({ history: { maxEvents: 2 } }) })
    const state = { sent: 0 }
    hub.snapshot('board', () => ({ ...state }))
    const tabs = upTo(3).map(() => open(url))
    const states = tabs.map((tab) => {
      const received: unknown[] = []
      tab.on('snapshot', ({ data }) => void received.push(data))
      return received
    })
    await until(() => tabs.every(({ state }) => state === 'open'))
    proxy.cut()
    for (state.sent = 1; state.sent < 6; state.sent++) await hub.publish('board', state.sent)
    await until(() => states.every((received) => received.some((one) => (one as typeof state).sent === 6)))
    await hub.publish('board', 'after')
    await until(() => tabs.every((tab) => data(tab).at(-1) === 'after'))
    await until(() => hub.stats().streams === 1)
  })

  it('have one, and each hears every event once and in order', async () => {
    const { hub, url, proxy } = await rig()
    const tabs = upTo(10).map(() => open(url))
    await until(() => tabs.every(({ told }) => told.open.length))
    expect(hub.stats().streams).toBe(1)
    for (let i = 0; i < 50; i++) void hub.publish('board', i)
    await until(() => tabs.every(({ told }) => told.event.length === 50))
    proxy.cut()
    for (let i = 50; i < 100; i++) void hub.publish('board', i)
    await until(() => tabs.every(({ told }) => told.event.length === 100))
    for (const tab of tabs) {
      expect(data(tab)).toEqual(upTo(100))
      expect(tab.told.gap).toEqual([])
      expect(tab.lastEventId).toBe(tabs[0]!.lastEventId)
      expect(tab.state).toBe('open')
    }
    expect(hub.stats().streams).toBe(1)
  })

  it('resume at their position when the leader leaves', async () => {
    const { hub, url } = await rig()
    const tabs = upTo(4).map(() => open(url))
    await until(() => tabs.every(({ told }) => told.open.length))
    let sent = 0
    while (tabs.length > 1) {
      for (let i = 0; i < 20; i++) void hub.publish('board', sent++)
      if (tabs.length % 2) await until(() => tabs.every(({ told }) => told.event.length === sent))
      else await new Promise(setImmediate)
      tabs.shift()!.close()
      for (let i = 0; i < 20; i++) void hub.publish('board', sent++)
      await until(() => tabs.every(({ told }) => told.event.length === sent))
      for (const tab of tabs) expect(data(tab)).toEqual(upTo(sent))
    }
    expect(hub.stats().streams).toBe(1)
    for (const { told } of tabs) expect(told.gap).toEqual([])
  })

  it('let one join where the group is, and one with a position catch up', async () => {
    const { hub, url } = await rig()
    const first = open(url)
    await until(() => first.told.open.length)
    const { id } = await hub.publish('board', 0)
    for (let i = 1; i < 30; i++) await hub.publish('board', i)
    await until(() => first.told.event.length === 30)
    const fresh = open(url)
    const reloaded = open(url, { store: { get: () => id, set() {} } })
    const rewound = open(url, { rewind: 5, key: undefined })
    await until(() => reloaded.told.event.length === 29 && rewound.told.event.length === 5 && fresh.told.open.length)
    for (let i = 30; i < 40; i++) await hub.publish('board', i)
    await until(() => [first, fresh, reloaded, rewound].every((tab) => data(tab).at(-1) === 39))
    expect(data(first)).toEqual(upTo(40))
    expect(data(fresh)).toEqual(upTo(40).slice(30))
    expect(data(reloaded)).toEqual(upTo(40).slice(1))
    expect(data(rewound)).toEqual(upTo(40).slice(25))
    // The one that started with `rewind` has another request, and forms a separate group.
    await until(() => hub.stats().streams === 2)
  })

  it('take the place of a leader that is frozen, which catches up when it thaws', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true })
    onTestFinished(() => void vi.useRealTimers())
    const { hub, url } = await rig()
    const tabs = upTo(3).map(() => open(url))
    await until(() => tabs.every(({ told }) => told.open.length))
    await hub.publish('board', 0)
    await until(() => tabs.every(({ told }) => told.event.length === 1))
    frozen.add(1)
    while (hub.stats().streams < 2) {
      await vi.advanceTimersByTimeAsync(500)
      await new Promise(setImmediate)
    }
    await hub.publish('board', 1)
    await until(() => tabs.slice(1).every(({ told }) => told.event.length === 2))
    // The first one did not pass on the events it received since, and no tab listens to it now.
    expect(data(tabs[0]!)).toEqual([0])
    frozen.clear()
    thawed.dispatchEvent(new Event('thaw'))
    await hub.publish('board', 2)
    await until(() => tabs.every(({ told }) => told.event.length === 3))
    for (const tab of tabs) expect(data(tab)).toEqual([0, 1, 2])
    await until(() => hub.stats().streams === 1)
  })

  it('end all of them', async () => {
    const { url } = await rig()
    const tabs = upTo(3).map(() => open(url, { channels: ['not a channel'] }))
    for (const { closed } of tabs) expect(await closed).toMatchObject({ reason: 'failed', error: { status: 400 } })
  })

  it('serves a slow iterator without holding up the others', async () => {
    const { hub, url } = await rig({ broker: memoryBroker({ history: { maxEvents: 10_000 } }) })
    const slow = open(url, { maxQueued: 2 })
    const quick = open(url)
    const seen: unknown[] = []
    let hold = () => {}
    const held = new Promise<void>((resolve) => (hold = resolve))
    const reading = (async () => {
      for await (const item of slow) {
        if ('gap' in item) throw new Error('a gap')
        seen.push(item.data)
        if (seen.length === 1) await held
        if (seen.length === 3000) return
      }
    })()
    await until(() => slow.told.open.length && quick.told.open.length)
    for (let i = 0; i < 3000; i++) void hub.publish('board', i)
    await until(() => quick.told.event.length === 3000)
    expect(seen).toEqual([0])
    hold()
    await reading
    expect(seen).toEqual(upTo(3000))
  })
})

describe('without locks', () => {
  it('every tab has its own connection', async () => {
    vi.stubGlobal('navigator', undefined)
    const { hub, url } = await rig()
    const tabs = upTo(2).map(() => open(url))
    await until(() => tabs.every(({ told }) => told.open.length))
    expect(hub.stats().streams).toBe(2)
  })
})
