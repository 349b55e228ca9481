import { Agent, request } from 'node:http'
import type { ErrorRequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import { randomOf } from '../support/random.ts'
import { flavours, makeHub, NOBODY, serve } from './support.ts'

/** With each version of Express. */
const REQUESTS = 5_000
const CONCURRENCY = 40

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: Buffer | undefined
  /** Cut the connection in the middle of the body. */
  readonly cut: boolean
}

interface Got {
  readonly status: number
  readonly type: string
  readonly body: string
}

class Fuzzer {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  request(): Sent {
    const method = this.#chance(0.4)
      ? 'GET'
      : this.#pick(['POST', 'POST', 'POST', 'POST', 'POST', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE', 'PATCH'])
    const body = method === 'POST' || this.#chance(0.02) ? this.#body() : undefined
    return { method, path: this.#path(), headers: this.#headers(), body, cut: this.#chance(0.01) }
  }

  #path(): string {
    const mounts = ['/closed', '/some', '/hook', '/news', '/user/7', '/user/a+b', '/parsed', '/x']
    const mount = this.#chance(0.5) ? '/open' : this.#pick(mounts)
    const rest = this.#chance(0.9) ? `/${this.#channel()}` : this.#pick(['', '/', '//', '/a/b', '/..', '/.'])
    const query: string[] = []
    while (this.#chance(0.25)) {
      const name = this.#pick([
        'channel',
        'channel',
        'rewind',
        'lastEventId',
        'envelope',
        'event',
        'conflationKey',
        'x%5B%5D',
        '%',
        '',
      ])
      query.push(
        this.#chance(0.1) ? name : `${name}=${this.#pick([this.#channel(), this.#number(), this.#text(), '1', ''])}`,
      )
    }
    return mount + rest + (query.length > 0 ? `?${query.join(this.#pick(['&', '&', '&&', ';']))}` : '')
  }

  #channel(): string {
    // Every other one is good, or nothing would ever get past the first check.
    if (this.#chance(0.5)) return this.#pick(['news', 'a.b', 'b', 'u.x.y', 'aa'])
    const token = () =>
      this.#pick(['a', 'b', 'news', 'u', '7', '*', '%3E', '%2A', '@:_-', '%E2%82%AC', '%', '%00', '%zz', '+', 'é'])
    const name = Array.from({ length: 1 + this.#int(3) }, token).join(this.#pick(['.', '.', '..', '%2E', '%2F']))
    // Only characters that a request line can carry.
    return encodeURI(this.#chance(0.02) ? name.repeat(100) : name).replaceAll('%25', '%')
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = {}
    const maybe = (chance: number, name: string, values: readonly string[]): void => {
      if (this.#chance(chance)) headers[name] = this.#pick(values)
    }
    const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/x-ndjson']
    maybe(
      0.9,
      'content-type',
      this.#chance(0.85)
        ? types
        : [this.#text(), 'application/json; charset=x', 'a/b+json', ';', 'multipart/form-data'],
    )
    maybe(0.3, 'accept', [
      'text/event-stream',
      '*/*',
      'text/*;q=0.5',
      'application/json',
      'text/event-stream;q=0',
      ',;q=',
      this.#text(),
    ])
    maybe(0.3, 'last-event-id', ['aaaaaa.1', 'hub.finished', '', this.#text(), `${this.#channel()}.${this.#number()}`])
    maybe(0.3, 'idempotency-key', ['a', 'b', '"a"', '"', '""', '"\\"', this.#text(), 'k'.repeat(201), this.#number()])
    maybe(0.1, 'sec-fetch-site', ['same-origin', 'same-site', 'cross-site', 'none', this.#text()])
    maybe(0.1, 'origin', ['null', 'http://127.0.0.1', 'https://a.example', '', this.#text()])
    maybe(0.05, 'x-forwarded-host', ['a.example', ',', '', this.#text()])
    maybe(0.05, 'x-forwarded-for', ['1.2.3.4', '::1', 'fe80::1%x', ',', '', this.#text()])
    maybe(0.03, 'content-encoding', ['gzip', 'identity', '', this.#text()])
    maybe(0.1, 'cookie', ['a=1', this.#text()])
    return headers
  }

  #body(): Buffer {
    const json = this.#pick([
      '1',
      '"x"',
      '{"a":[1,{"b":null}]}',
      '[]',
      'null',
      '',
      '{',
      '1e999',
      '"\\ud800"',
      '[[[[[[]]]]]]',
    ])
    const text = this.#pick([
      json,
      json,
      json,
      'data=1&event=x',
      'data=',
      'data=%ff&data=2',
      `${json}\n${json}\n\n${json}`,
      this.#text(),
      'x'.repeat(this.#int(2_000)),
    ])
    const bytes = Buffer.from(this.#chance(0.4) ? this.#pick(['1', '2', '{"a":1}']) : text)
    if (bytes.length > 0 && this.#chance(0.1)) bytes[this.#int(bytes.length)] = this.#int(256)
    return bytes
  }

  /** What a header can carry. */
  #text(): string {
    return Array.from({ length: this.#int(12) }, () => String.fromCharCode(33 + this.#int(94)))
      .join('')
      .replaceAll(/[^!-~]/g, '')
      .replaceAll(/[#?&\s]/g, '')
  }

  #number(): string {
    return this.#pick(['0', '1', '5', '1000', '-1', '1.5', '9'.repeat(30), '0x1', '%31'])
  }

  #chance(p: number): boolean {
    return this.#random() < p
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below)
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#int(values.length)]!
  }
}

/** Sends it; a stream is cut at its first bytes. Resolves with undefined when there was no answer. */
function send(agent: Agent, port: string, { method, path, headers, body, cut }: Sent): Promise<Got | undefined> {
  return new Promise((resolve) => {
    const length = body === undefined ? {} : { 'content-length': body.length + (cut ? 10 : 0) }
    const req = request({ host: '127.0.0.1', port, agent, method, path, headers: { ...headers, ...length } }, (res) => {
      const type = res.headers['content-type'] ?? ''
      let text = ''
      const done = (): void => resolve({ status: res.statusCode!, type, body: text })
      res.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (type !== 'text/event-stream') return
        done()
        req.destroy()
      })
      res.on('end', done)
      res.on('error', done)
    })
    req.on('error', () => resolve(undefined))
    if (cut && body !== undefined) {
      req.write(body)
      setImmediate(() => req.destroy())
    } else req.end(body)
  })
}

describe.each(flavours)('ten thousand random requests, Express $version', ({ version, express, lib }) => {
  it('crash nothing, leave nothing, and publish only where it is open', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.set('trust proxy', true)
    app.use('/open', hub.router({ channels: ['>'], publish: 'anyone', maxBodyBytes: 200 }))
    app.use('/closed', hub.router({ channels: ['>'] }))
    app.use('/some', lib.sse(), hub.router({ channels: ['a.*', 'news', 'u.>'], publish: () => false }))
    app.use(
      '/hook',
      hub.router({
        channels: ['>'],
        subscribe: async (_req, [channel]) => channel!.length % 2 === 0 || { info: channel },
        publish: async (_req, channel) => channel.startsWith('a'),
        allowedOrigins: ['null', 'https://a.example'],
      }),
    )
    app.use('/news', hub.channel('news').router({ publish: 'anyone' }))
    app.use('/user/:id', hub.router({ channel: ({ params: { id } }) => `user.${id}`, subscribe: () => true }))
    app.use('/parsed', express.json(), express.text(), express.urlencoded({ extended: true }))
    app.use('/parsed', hub.router({ channels: ['b'], publish: 'anyone' }))
    // Not answered by the router: malformed paths, and requests that an earlier parser refuses.
    app.use(((error, _req, res, next) => {
      if (res.headersSent) next(error)
      else res.status(error.status ?? 500).json({ status: error.status ?? 500, message: String(error.stack) })
    }) as ErrorRequestHandler)

    const heard = new Map<string, number>()
    const events = hub.events(pattern('>'))
    const listening = (async () => {
      for await (const item of events) if (!('gap' in item)) heard.set(item.channel, (heard.get(item.channel) ?? 0) + 1)
    })()
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    const failures: unknown[] = []
    hub.on('error', (error) => failures.push(error))

    const url = await serve(app)
    const { port } = new URL(url)
    const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })
    const fuzzer = new Fuzzer(20_261_121 + version)
    const statuses = new Map<number, number>()
    const wrong: unknown[] = []
    let published = 0
    let unanswered = 0
    let left = REQUESTS
    const worker = async (): Promise<void> => {
      while (left-- > 0) {
        const sent = fuzzer.request()
        const got = await send(agent, port, sent)
        if (got === undefined) {
          if (!sent.cut) unanswered++
          continue
        }
        const { status, type, body } = got
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        const open = /^\/(open|hook|news|parsed)/.test(sent.path)
        if (status >= 500 || (status === 201 && !open)) wrong.push({ sent, got })
        if (status === 201) published += (JSON.parse(body).duplicates ?? [false]).filter((d: boolean) => !d).length
        if (type.startsWith('application/problem') && sent.method !== 'HEAD') {
          const problem = JSON.parse(body)
          if (problem.status !== status || !/^ERR_SSE_[A-Z_]+$/.test(problem.code)) wrong.push({ sent, got })
        }
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    agent.destroy()

    await expect.poll(() => hub.stats().subscriptions).toBe(0)
    await expect.poll(() => [...heard.values()].reduce((a, b) => a + b, 0)).toBe(hub.stats().published)
    await events.return!()
    await listening
    process.off('unhandledRejection', note)
    expect(wrong.slice(0, 3)).toEqual([])
    expect(unhandled).toEqual([])
    expect(failures).toEqual([])
    expect(unanswered).toBe(0)
    // A request that was cut may have been published all the same.
    expect(hub.stats().published).toBeGreaterThanOrEqual(published)
    expect(hub.stats().published).toBeLessThanOrEqual(published + 100)
    // The requests were of every kind.
    const kinds = [200, 201, 204, 400, 403, 404, 405, 406, 413, 415, 422]
    expect(
      kinds.filter((status) => !statuses.has(status)),
      JSON.stringify([...statuses]),
    ).toEqual([])
    await expect.poll(() => hub.stats()).toMatchObject(NOBODY)
  }, 120_000)
})
