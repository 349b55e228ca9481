import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LinkEnded, LogProblem } from '../../../src/broker/redis/failure.ts'
import type { Link } from '../../../src/broker/redis/link.ts'
import { Links, type LinksHost } from '../../../src/broker/redis/links.ts'
import { LogTime } from '../../../src/broker/redis/log-time.ts'
import { Seen } from '../../../src/broker/redis/seen.ts'
import { Session } from '../../../src/broker/redis/session.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { deferred, FakeServer, settingsWith, turn } from './stepped.ts'

function setUp(given: Partial<LinksHost> = {}) {
  const server = new FakeServer()
  const reports: string[] = []
  const settings = settingsWith(server.connect, {
    onError: (error) => void reports.push((error as Error & { detail: string }).detail),
  })
  const state = { node: 'n', time: new LogTime(manualClock()), seen: new Seen() }
  const host = {
    greet: vi.fn(async (link: Link) => new Session(link, settings, state)),
    up: vi.fn(),
    join: vi.fn(async () => {}),
    message: vi.fn(),
    probe: vi.fn(async () => {}),
    down: vi.fn(),
    ...given,
  }
  const links = new Links(settings, host)
  return { server, reports, host, links, settings, state }
}

/** Ends the newest connection, as a server that closes it. */
function cut(server: FakeServer, reason = 'cut'): void {
  server.opened.at(-1)!.ended(new Error(reason))
}

const UNAVAILABLE = { code: 'ERR_SSE_BROKER_UNAVAILABLE' }
const CLOSED = { ...UNAVAILABLE, detail: 'The broker is closed.' }

describe('the links of a node', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('start with a server that is unreachable at first', async () => {
    const { server, links } = setUp()
    server.open = () => Promise.reject(new Error('connect ECONNREFUSED'))
    const start = links.start()
    await vi.advanceTimersByTimeAsync(1_000)
    server.open = () => undefined
    await vi.advanceTimersByTimeAsync(1_500)
    await start
    expect(links.count).toBe(1)
    expect(server.opened.length).toBeGreaterThan(2)
    links.close()
  })

  it('do not start when the server is unreachable for five seconds', async () => {
    const { server, links } = setUp()
    server.open = () => Promise.reject(new Error('connect ECONNREFUSED'))
    const start = expect(links.start()).rejects.toThrow('ECONNREFUSED')
    await vi.advanceTimersByTimeAsync(7_000)
    await start
    expect(links.session).toBeUndefined()
  })

  it.each([
    ['does not fit', new LogProblem('It runs in cluster mode.')],
    ['refuses the user', new Error('WRONGPASS invalid username-password pair')],
  ])('do not try again when the server %s', async (_, error) => {
    const { server, links } = setUp({ greet: () => Promise.reject(error) })
    await expect(links.start()).rejects.toBe(error)
    expect([server.opened.length, server.ended]).toEqual([1, 1])
  })

  it('do not open a connection within five seconds, and say so', async () => {
    const { server, links } = setUp()
    server.open = () => new Promise(() => {})
    const start = expect(links.start()).rejects.toThrow('No connection within 5000 ms.')
    await vi.advanceTimersByTimeAsync(11_000)
    await start
    expect(server.ended).toBe(server.opened.length)
  })

  it('end a connection that opens after they were closed', async () => {
    const { server, links, host } = setUp()
    const opening = deferred()
    server.open = () => opening.promise
    const start = expect(links.start()).rejects.toThrow('The broker is closed.')
    links.close()
    opening.resolve(undefined)
    await start
    expect(server.ended).toBe(1)
    expect(host.greet).not.toHaveBeenCalled()
    expect(host.down).not.toHaveBeenCalled()
  })

  it('are down when the link ends while the node joins, although that reports no error', async () => {
    const joining = deferred<void>()
    const join = vi.fn(() => (server.opened.length === 1 ? joining.promise : Promise.resolve()))
    const { server, links, host } = setUp({ join })
    const start = links.start()
    await vi.waitFor(() => expect(host.up).toHaveBeenCalledTimes(1))
    cut(server)
    joining.resolve()
    await vi.advanceTimersByTimeAsync(100)
    await start
    expect(host.down).toHaveBeenCalledTimes(1)
    expect([links.count, server.opened.length]).toEqual([2, 2])
    links.close()
  })

  it('repeat a request on the next link when its link ends before the answer', async () => {
    const { server, links, reports } = setUp()
    await links.start()
    const asked: Session[] = []
    server.answer = () => new Promise(() => {})
    const answer = links.use((session) => {
      asked.push(session)
      return session.link.call(['GET', 'x'])
    })
    cut(server)
    server.answer = ([, key]) => key
    await vi.advanceTimersByTimeAsync(100)
    expect(await answer).toBe('x')
    expect(new Set(asked).size).toBe(2)
    expect(reports).toEqual(['Redis cannot be reached.'])
    links.close()
  })

  it('leave a server that became a replica, and repeat the request on the next one', async () => {
    const { server, links, reports } = setUp()
    await links.start()
    server.answer = ([command]) => {
      if (command === 'GET' && server.opened.length === 1) throw new Error('READONLY it is a replica')
      return `from ${server.opened.length}`
    }
    const answer = links.use(({ link }) => link.call(['GET', 'x']))
    await vi.advanceTimersByTimeAsync(100)
    expect(await answer).toBe('from 2')
    expect(reports).toEqual(['This Redis is a replica.'])
    links.close()
  })

  it('pass an error of the server on to the caller, and keep the link', async () => {
    const { server, links } = setUp()
    await links.start()
    server.answer = () => Promise.reject(new Error('NOPERM no rights'))
    await expect(links.use(({ link }) => link.call(['GET', 'x']))).rejects.toMatchObject({
      ...UNAVAILABLE,
      detail: expect.stringContaining('lacks a right'),
    })
    expect([server.opened.length, server.ended]).toEqual([1, 0])
    links.close()
  })

  it('refuse a request after five seconds without a link, with the reason', async () => {
    const { server, links } = setUp()
    await links.start()
    server.open = () => Promise.reject(new Error('LOADING Redis is loading the dataset in memory'))
    cut(server)
    const refused = vi.fn()
    links.use(async () => {}).catch(refused)
    await vi.advanceTimersByTimeAsync(4_900)
    expect(refused).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(200)
    expect(refused).toHaveBeenCalledWith(
      expect.objectContaining({ ...UNAVAILABLE, detail: 'Redis is loading its data.' }),
    )
    links.close()
  })

  it('refuse waiting requests and later ones when they are closed', async () => {
    const { server, links, reports } = setUp()
    await links.start()
    cut(server)
    const waiting = expect(links.use(async () => {})).rejects.toMatchObject(CLOSED)
    links.close()
    await waiting
    await expect(links.use(async () => {})).rejects.toMatchObject(CLOSED)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([server.opened.length, reports.length]).toEqual([1, 1])
  })

  it('report each failure to open the next link, until they are closed', async () => {
    const { server, links, reports } = setUp()
    await links.start()
    server.open = () => Promise.reject(new Error('MASTERDOWN Link with MASTER is down'))
    cut(server)
    await vi.advanceTimersByTimeAsync(1_000)
    const [first, ...others] = reports
    expect(first).toBe('Redis cannot be reached.')
    expect(others.length).toBeGreaterThan(1)
    expect(new Set(others)).toEqual(new Set(['This Redis is a replica without its master.']))
    const opening = deferred()
    server.open = () => opening.promise
    await vi.advanceTimersByTimeAsync(2_000)
    const count = reports.length
    links.close()
    opening.reject(new Error('LOADING'))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(reports).toHaveLength(count)
  })

  it('open no further link when the application closes them in its error handler', async () => {
    const { server, settings, host } = setUp()
    const closing = new Links({ ...settings, onError: () => closing.close() }, host)
    await closing.start()
    cut(server)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(server.opened).toHaveLength(1)
  })

  it('end the link to a server that does not answer for three seconds', async () => {
    const probe = vi.fn((): Promise<void> => new Promise(() => {}))
    const { server, links, reports, host } = setUp({ probe })
    await links.start()
    await vi.advanceTimersByTimeAsync(2_900)
    expect(server.ended).toBe(0)
    await vi.advanceTimersByTimeAsync(200)
    expect(server.ended).toBe(1)
    expect(host.down).toHaveBeenCalledWith(expect.objectContaining({ message: 'Redis did not answer for 3000 ms.' }))
    expect(reports).toEqual(['Redis cannot be reached.'])
    links.close()
  })

  it('keep the link when the answer was in the socket while a long turn delayed it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    let answer = deferred<void>()
    const { server, links } = setUp({ probe: () => answer.promise })
    await links.start()
    vi.advanceTimersByTime(3_000)
    // The time limit is over, and then the answer is read.
    answer.resolve()
    for (let i = 0; i < 3; i++) await turn()
    expect(server.ended).toBe(0)
    answer = deferred()
    vi.advanceTimersByTime(1_000)
    await turn()
    vi.advanceTimersByTime(3_000)
    for (let i = 0; i < 3; i++) await turn()
    expect(server.ended).toBe(1)
    links.close()
  })

  it('end the link when a check finds a replica, and report any other refusal', async () => {
    let error: Error | undefined = new Error('OOM command not allowed')
    const probe = vi.fn(async () => {
      if (error !== undefined) throw error
    })
    const { server, links, reports } = setUp({ probe })
    await links.start()
    await vi.advanceTimersByTimeAsync(1_100)
    expect(server.ended).toBe(0)
    expect(reports).toEqual(Array(2).fill('Redis is out of memory (maxmemory).'))
    error = new Error('REPLICA the server is not the master')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.ended).toBeGreaterThan(0)
    expect(reports.slice(2)).toContain('This Redis is a replica.')
    error = undefined
    links.close()
  })

  it('do not report a check that ended with its link twice', async () => {
    const { server, links, reports } = setUp({ probe: ({ link }) => link.call(['PING']) as Promise<void> })
    server.answer = ([command]) => (command === 'PING' ? new Promise(() => {}) : 'OK')
    await links.start()
    cut(server)
    await vi.advanceTimersByTimeAsync(10)
    expect(reports).toHaveLength(1)
    links.close()
  })
})

describe('a link', () => {
  it('ends with the error of its listener, and hears nothing afterwards', async () => {
    const message = vi.fn(() => {
      throw new Error('a fault')
    })
    const { server, links, host } = setUp({ message })
    await links.start()
    const { message: hear } = server.opened[0]!
    hear('channel', 'text')
    hear('channel', 'text')
    expect(message).toHaveBeenCalledTimes(1)
    expect(host.down).toHaveBeenCalledWith(expect.objectContaining({ message: 'a fault' }))
    links.close()
  })

  it('rejects calls that wait for an answer at its end, and later ones', async () => {
    const { server, links } = setUp()
    await links.start()
    const { link } = links.session!
    server.answer = () => new Promise(() => {})
    const waiting = expect(link.call(['GET', 'x'])).rejects.toBeInstanceOf(LinkEnded)
    cut(server)
    await waiting
    server.answer = () => 'answer'
    await expect(link.call(['GET', 'x'])).rejects.toBeInstanceOf(LinkEnded)
    links.close()
  })

  it('ends when its client fails with something else than a reply of the server', async () => {
    const { server, links, host } = setUp()
    await links.start()
    const { link } = links.session!
    server.answer = () => Promise.reject('a text')
    await expect(link.call(['GET', 'x'])).rejects.toBeInstanceOf(LinkEnded)
    expect(host.down).toHaveBeenCalledWith('a text')
    links.close()
  })
})
