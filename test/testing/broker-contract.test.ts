import { describe, expect, it, vi } from 'vitest'
import type { Broker, BrokerListener, StoredEvent } from '../../src/broker/broker.ts'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { brokerContract, type ContractRunner } from '../../src/testing/broker-contract.ts'

/** Every promise of the contract by its name, for a broker that is the one in memory but for what `spoil` changes. */
function promises(spoil: (broker: Broker) => Partial<Broker>): ReadonlyMap<string, () => Promise<void>> {
  const found = new Map<string, () => Promise<void>>()
  const spoilt = (broker: Broker): Broker => {
    const changed = spoil(broker)
    return new Proxy(broker, {
      get(target, name: keyof Broker) {
        const member = changed[name] ?? target[name]
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }
  brokerContract(async (options) => spoilt(memoryBroker(options)), {
    describe: (_, suite) => suite(),
    it: (name, test) => found.set(name, test),
  })
  return found
}

/** A broker whose listener is `wrap(listener)`. */
const listening =
  (wrap: (listener: BrokerListener, broker: Broker) => Partial<BrokerListener>) => (broker: Broker) => ({
    start: (listener: BrokerListener) =>
      broker.start({
        events: (batch, top) => listener.events(batch, top),
        suspect: (top) => listener.suspect(top),
        ...wrap(listener, broker),
      }),
  })

describe('the contract', () => {
  it('is many promises, each with a unique name', async () => {
    const names: string[] = []
    brokerContract(memoryBroker, { describe: (_, suite) => suite(), it: (name) => names.push(name) })
    expect(names.length).toBeGreaterThan(55)
    expect(new Set(names).size).toBe(names.length)
  })

  it('takes the functions of node:test', () => {
    const fits = (runner: Pick<typeof import('node:test'), 'describe' | 'it'>): ContractRunner => runner
    expect(fits).toBeTypeOf('function')
  })

  const inOrder = 'every event of a subscribed channel or pattern is handed over once, in the order of the log'
  const brokenBrokers: [string, string, (broker: Broker) => Partial<Broker>, RegExp][] = [
    [
      'hands events over in reverse order',
      inOrder,
      listening((listener) => ({ events: (batch, top) => listener.events(batch.toReversed(), top) })),
      /order of the log/,
    ],
    [
      'names a wrong top',
      inOrder,
      listening((listener) => ({ events: (batch, top) => listener.events(batch, { ...top, seq: top.seq + 1 }) })),
      /not after the previous top/,
    ],
    [
      'names a top of another log',
      inOrder,
      listening((listener) => ({ events: (batch, top) => listener.events(batch, { ...top, epoch: 'BBBBBB' }) })),
      /epoch changed/,
    ],
    [
      'hands over more than its top',
      inOrder,
      listening((listener) => ({
        events: (batch, top) => listener.events(batch, { ...top, seq: (batch[0] as StoredEvent).seq }),
      })),
      /behind the events that were handed over/,
    ],
    [
      'calls suspect() without a reason',
      inOrder,
      listening((listener) => ({
        events(batch, top) {
          listener.events(batch, top)
          listener.suspect(top)
        },
      })),
      /suspect\(\)/,
    ],
    [
      'skips a receipt',
      'receipts have the place of each event, in order',
      (broker) => ({ publish: async (groups) => (await broker.publish(groups)).slice(1) }),
      /one outcome for each group/,
    ],
    [
      'returns the same page again and again',
      'pages have at most the requested number of events, and continue where they stopped',
      (broker) => ({
        read: async (after, ...rest) => {
          const page = await broker.read(after, ...rest)
          return page.end ? page : { ...page, upto: after! }
        },
      }),
      /as far as its items/,
    ],
    [
      'never reaches the end',
      'a channel without events is an empty page, complete up to the end of the log',
      (broker) => ({
        read: async (after, ...rest) => {
          const page = await broker.read(after, ...rest)
          return after === undefined ? page : { ...page, upto: after, end: false }
        },
      }),
      /advances/,
    ],
    [
      'hands over a loss although nothing broke',
      inOrder,
      listening((listener) => ({
        events: (batch, top) =>
          listener.events([{ channels: ['a'], seq: (batch[0] as StoredEvent).seq }, ...batch.slice(1)], top),
      })),
      /a loss was handed over/,
    ],
    [
      'calls the listener before it has started',
      inOrder,
      (broker) => ({
        start: async (listener) => {
          const end = await broker.start(listener)
          listener.events([], end)
          return end
        },
      }),
      /before start\(\) had resolved/,
    ],
    ['cannot start', inOrder, () => ({ start: () => Promise.reject(new Error('no disk')) }), /no disk/],
  ]
  it.each(brokenBrokers)('fails for a broker that %s', async (_, promise, spoil, message) => {
    await expect(promises(spoil).get(promise)!()).rejects.toThrow(message)
    await promises(() => ({})).get(promise)!()
  })

  it('fails after a while for a broker that never hands an event over', async () => {
    const spoil = listening(() => ({ events: () => {} }))
    const held = promises(spoil).get(inOrder)!
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const failed = expect(held()).rejects.toThrow(/not handed over within/)
      await vi.advanceTimersByTimeAsync(5_000)
      await failed
    } finally {
      vi.useRealTimers()
    }
  })

  it('fails for a broker that forgets a publish in progress when it closes', async () => {
    const name = 'close settles the publishes in progress'
    await promises(() => ({ publish: () => new Promise(() => {}) })).get(name)!().then(
      () => expect.unreachable(),
      (error) => expect(String(error)).toMatch(/10/),
    )
  })
})
