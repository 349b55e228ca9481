import { createClient } from 'redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { isLoss, type Page, type Selector } from '../../../src/broker/broker.ts'
import { clientOption } from '../../../src/broker/redis/client.ts'
import { Link } from '../../../src/broker/redis/link.ts'
import { LogTime } from '../../../src/broker/redis/log-time.ts'
import { LogReader } from '../../../src/broker/redis/reader.ts'
import { latest, names, order, read, type Script } from '../../../src/broker/redis/scripts.ts'
import { Seen } from '../../../src/broker/redis/seen.ts'
import { Session } from '../../../src/broker/redis/session.ts'
import type { Cursor } from '../../../src/protocol/cursor.ts'
import { ALL, Rig, selector } from '../../../src/testing/broker-contract/rig.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { runs, settingsWith, stepping } from './stepped.ts'
import { brokerOf, newPrefix, serverOfFile } from './support.ts'

describe.skipIf(REDIS_MISSING)('a reader of the log', () => {
  const on = serverOfFile()

  /** A log, a node that publishes, and a reader: the test may do something at a call of a script. */
  async function open() {
    const prefix = newPrefix()
    const rig = new Rig(brokerOf(on.url, { prefix }))
    await rig.start()
    const calls = new Map<string, number>()
    let due: { script: Script; nth: number; before?: () => unknown; after?: () => unknown } | undefined
    const connect = stepping(clientOption(createClient({ url: on.url })), async (args, ask) => {
      const nth = (calls.get(args[1]!) ?? 0) + 1
      calls.set(args[1]!, nth)
      const now = due !== undefined && runs(args, due.script) && nth === due.nth ? due : undefined
      await now?.before?.()
      const answer = await ask()
      await now?.after?.()
      return answer
    })
    const settings = settingsWith(connect, { prefix })
    const link = await Link.open(connect, `${settings.prefix}m`, { message: () => {}, ended: () => {} })
    onTestFinished(() => link.end(new Error('The test is over.')))
    await link.load()
    const session = new Session(link, settings, { node: 'r', time: new LogTime(manualClock()), seen: new Seen() })
    const reader = new LogReader(session, settings)
    const command = (name: string, key: string, ...rest: string[]) =>
      on.server.command(name, `${settings.prefix}${key}`, ...rest)
    return {
      prefix: settings.prefix,
      rig,
      reader,
      start: await rig.end(),
      command,
      /** Before the nth call of a script from now on. */
      before(script: Script, nth: number, fn: () => unknown) {
        calls.clear()
        due = { script, nth, before: fn }
      },
      /** After the next call of a script. */
      after(script: Script, fn: () => unknown) {
        calls.clear()
        due = { script, nth: 1, after: fn }
      },
      calls: (script: Script) => calls.get(script.sha) ?? 0,
      /** The server loses the names of the events in their order. */
      forgetOrder: () => command('XTRIM', 'g', 'MAXLEN', '0'),
      /** The log begins a new epoch with the next request, as after a restart of the server that lost nothing. */
      newEpoch: () => command('HSET', 'm', 'r', 'another'),
      /** Every page of the reader, from the first to the last. */
      async all(after: Cursor, of: Selector, max = ALL): Promise<{ texts: string[]; last: Page; pages: number }> {
        const texts: string[] = []
        for (let from = after, pages = 1; ; pages++) {
          const page = await reader.read(from, of, max)
          texts.push(...brief(page))
          if (page.end) return { texts, last: page, pages }
          from = page.upto
        }
      },
    }
  }

  const brief = ({ items }: Page) =>
    items.map((item) => (isLoss(item) ? `lost ${item.channels} to ${item.seq}` : item.data))
  const many = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `p.x${from + i}.y1`)

  describe('finds the channels of a pattern', () => {
    it('in the index, after a position that the order does not reach back to', async () => {
      const log = await open()
      await log.rig.append('p.a1', 'b1', 'p.c1', 'p.a2')
      await log.forgetOrder()
      expect((await log.all(log.start, selector('p.*'))).texts).toEqual(['p.a1', 'p.c1', 'p.a2'])
      expect(log.calls(names)).toBe(1)
      expect(await log.reader.read(log.start, selector('p.*'), ALL, true)).toBeUndefined()
    })

    it('in several slices of the index, and reads them in several calls', async () => {
      const log = await open()
      const texts = many(1_500)
      await log.rig.append(...texts.slice(0, 1_000))
      await log.rig.append(...texts.slice(1_000))
      await log.forgetOrder()
      const { texts: found } = await log.all(log.start, selector('p.>'))
      expect(found).toEqual(texts)
      expect([log.calls(names), log.calls(read)]).toEqual([2, 7])
    })

    it('along the order, 256 at once', async () => {
      const log = await open()
      const texts = many(600)
      for (let i = 0; i < 600; i += 100) await log.rig.append(...texts.slice(i, i + 100))
      const { texts: found, pages } = await log.all(log.start, selector('p.>'))
      expect(found).toEqual(texts)
      expect(pages).toBe(3)
    })

    it('in many steps: the page of a long search without a result is empty, and the next one continues', async () => {
      const log = await open()
      await log.rig.append('other1')
      const filled = await on.server.command(
        'EVAL',
        `local p = KEYS[1]
        for i = 2, 16000 do redis.call('XADD', p .. 'g', i .. '-0', 'b', i - 1, 'n', 'other') end
        redis.call('ZADD', p .. 'i', 16000, 'other')
        return redis.call('HSET', p .. 'm', 's', 16000)`,
        '1',
        log.prefix,
      )
      expect(filled).toBe(':0\r\n')
      await log.rig.append('p.a1')
      const page = await log.reader.read(log.start, selector('p.*'), ALL)
      expect(page).toMatchObject({ status: 'ok', items: [], end: false })
      expect(page.upto.seq).toBeGreaterThan(10_000)
      const rest = await log.all(page.upto, selector('p.*'))
      expect([rest.texts, rest.pages]).toEqual([['p.a1'], 1])
    })

    it('and reports the loss of a forgotten name beside it, but not of a known one', async () => {
      const log = await open()
      await log.rig.append('quiet1', 'p.a1')
      const { seq } = await log.rig.end()
      await log.rig.append('gone1', 'p.a2')
      await log.command('ZREM', 'i', 'gone')
      await log.command('HSET', 'm', 'f', `${seq + 1}`)
      const { items } = await log.reader.read({ ...log.start, seq }, selector('quiet', 'gone', 'p.*'), ALL)
      const lost = items.filter(isLoss).flatMap(({ channels }) => channels)
      expect(lost.toSorted()).toEqual(['gone', 'p.*'])
      expect(brief({ items } as Page)).toContain('p.a2')
    })
  })

  describe('begins again when the log begins a new epoch', () => {
    const texts = Array.from({ length: 140 }, (_, i) => `p.a${i}`)

    async function full() {
      const log = await open()
      for (const text of texts) await log.rig.append(text)
      return { ...log, old: (await log.rig.end()).epoch }
    }

    it.each([
      ['between two steps of the order', order, 2],
      ['between the order and the events', read, 1],
    ])('%s', async (_, script, nth) => {
      const log = await full()
      log.before(script, nth, log.newEpoch)
      const { texts: found, last } = await log.all(log.start, selector('p.*'))
      expect(found).toEqual(texts)
      expect(last).toMatchObject({ status: 'ok', end: true })
      expect(last.upto.epoch).not.toBe(log.old)
    })

    it('and has lost its last event, in whose place is one of another channel', async () => {
      const log = await full()
      const { seq } = await log.rig.end()
      log.before(read, 1, async () => {
        await log.command('RPOP', 'c:p.a')
        await log.command('ZADD', 'i', `${seq - 1}`, 'p.a')
        await log.command('XDEL', 'g', `${seq}-0`)
        await log.command('XSETID', 'g', `${seq - 1}-0`)
        await log.command('HSET', 'm', 's', `${seq - 1}`, 'r', 'another')
        await log.rig.append('p.b1')
      })
      const { texts: found, last } = await log.all(log.start, selector('p.*'))
      expect(found).toEqual([...texts.slice(0, -1), 'p.b1'])
      expect(last.upto.seq).toBe(seq)
    })

    it('between the position and the index', async () => {
      const log = await full()
      await log.forgetOrder()
      log.before(names, 1, log.newEpoch)
      const { texts: found, last } = await log.all(log.start, selector('p.*'))
      expect(found).toEqual(texts)
      expect(last.upto.epoch).not.toBe(log.old)
    })

    it('and when the order is trimmed between two of its steps', async () => {
      const log = await full()
      log.before(order, 2, log.forgetOrder)
      expect((await log.all(log.start, selector('p.*'))).texts).toEqual(texts)
      expect(log.calls(names)).toBe(1)
    })

    it('but the position is unknown when the log was replaced', async () => {
      const log = await full()
      await log.forgetOrder()
      log.before(read, 1, () => log.command('HSET', 'm', 'e', 'ZZZZZZ'))
      const page = await log.reader.read(log.start, selector('p.*'), ALL)
      expect(page).toMatchObject({ status: 'unknown-epoch', items: [], end: true })
      expect(page.upto.epoch).toBe('ZZZZZZ')
    })

    it('but not after an error of the server', async () => {
      const log = await full()
      const error = new Error('OOM command not allowed')
      log.before(read, 1, () => Promise.reject(error))
      await expect(log.reader.read(log.start, selector('p.*'), ALL)).rejects.toBe(error)
      expect([log.calls(order), log.calls(read)]).toEqual([2, 1])
    })
  })

  it('states with each page where the present epoch began', async () => {
    const log = await open()
    await log.rig.append('p.a1', 'p.a2')
    const pages = async () => [
      await log.reader.read(log.start, selector('p.a'), ALL),
      await log.reader.read(log.start, selector('p.*'), ALL),
      await log.reader.read({ epoch: 'ZZZZZZ', seq: 1 }, selector('p.a'), ALL),
      await log.reader.latest(1, selector('p.a'), ALL),
      await log.reader.latest(1, selector('p.*'), ALL),
      await log.reader.latest(1, selector('q.*'), ALL),
      await log.reader.latest(1, selector(), ALL),
      await log.rig.broker.read(undefined, selector('p.a'), ALL),
    ]
    const first = await pages()
    expect(first.map(({ epochStart }) => epochStart)).toEqual(first.map(() => 0))
    await log.newEpoch()
    await log.rig.append('p.a3')
    const second = await pages()
    expect(second.map(({ epochStart }) => epochStart)).toEqual(second.map(() => 2))
    await log.command('DEL', 'm')
    const third = await pages()
    // The state of the log was lost: its events are as well.
    expect(third.map(({ epochStart, upto }) => [epochStart, upto.seq])).toEqual(third.map(() => [3, 3]))
  })

  describe('reads the last events', () => {
    it('of a pattern in an empty log: none', async () => {
      const { reader, start } = await open()
      const page = await reader.latest(5, selector('p.*'), ALL)
      expect(page).toMatchObject({ status: 'ok', from: start, items: [], upto: start, end: true })
    })

    it('of more than 1,000 channels, the newest of all within the limits', async () => {
      const log = await open()
      const texts = many(1_500)
      await log.rig.append(...texts.slice(0, 750))
      await log.rig.append(...texts.slice(750))
      const channels = texts.map((text) => text.replace(/\d+$/, ''))
      for (const of of [selector('p.>'), selector(...channels)]) {
        expect(brief(await log.reader.latest(1, of, ALL))).toEqual(texts)
        const some = await log.reader.latest(1, of, { ...ALL, events: 1_200 })
        expect(brief(some)).toEqual(texts.slice(-1_200))
        const one = some.items.at(-1)!
        const bytes = 1_100 * (isLoss(one) ? 0 : one.bytes)
        const few = await log.reader.latest(1, of, { ...ALL, bytes })
        expect(brief(few)).toEqual(texts.slice(-few.items.length))
        expect(few.items.length).toBeGreaterThan(1_000)
        expect(few.items.reduce((sum, item) => sum + (isLoss(item) ? 0 : item.bytes), 0)).toBeLessThanOrEqual(bytes)
      }
    })

    it('of one epoch, when the log begins a new one between two calls', async () => {
      const log = await open()
      const texts = many(1_500)
      await log.rig.append(...texts.slice(0, 750))
      await log.rig.append(...texts.slice(750))
      log.before(latest, 2, log.newEpoch)
      const page = await log.reader.latest(1, selector('p.>'), ALL)
      expect(brief(page)).toEqual(texts)
      expect(new Set(page.items.map((item) => (isLoss(item) ? '' : item.epoch)))).toEqual(new Set([page.upto.epoch]))
    })

    it.each([
      ['before the first events are read', 'x1', latest, 1],
      ['between two slices of the index', 'x1', names, 2],
      ['after its last ones were found', 'x1500', names, 2],
    ])('also of a channel that has a new event %s', async (_, name, script, nth) => {
      const log = await open()
      const texts = many(1_500)
      await log.rig.append(...texts.slice(0, 750))
      await log.rig.append(...texts.slice(750))
      // The first name is in the second slice, and then ahead of the first one.
      log.before(script, nth, () => log.rig.append(`p.${name}.y2`))
      const page = await log.reader.latest(2, selector('p.>'), ALL)
      expect(brief(page)).toEqual(texts)
      expect((await log.all(page.upto, selector('p.>'))).texts).toEqual([`p.${name}.y2`])
    })

    it.each([
      ['some events', ['p.a1', 'b1']],
      ['none', ['b1']],
    ])(
      'of a pattern that has %s, up to a position after which the first event of a new name follows',
      async (_, texts) => {
        const log = await open()
        await log.rig.append(...texts)
        log.after(names, () => log.rig.append('p.new1'))
        const page = await log.reader.latest(5, selector('p.*'), ALL)
        expect(brief(page)).toEqual(texts.filter((text) => text !== 'b1'))
        expect((await log.all(page.upto, selector('p.*'))).texts).toEqual(['p.new1'])
      },
    )
  })
})
