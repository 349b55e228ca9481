import { createServer, type IncomingMessage, type RequestListener, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type express from 'express'
import type { Express } from 'express'
import { expect, onTestFinished, vi } from 'vitest'
import type { Broker, ChannelHub, HubOptions } from '../../src/index.ts'
import { type OpenStream, type OpenStreamOptions, openStream } from '../../src/testing/index.ts'

export type Library = typeof import('../../src/index.ts')

/** A major version of Express, and the library as it is when that one is its peer. */
export interface Flavour {
  readonly version: 4 | 5
  readonly express: typeof express
  readonly lib: Library
}

const five: Flavour = {
  version: 5,
  express: (await import('express')).default,
  lib: await import('../../src/index.ts'),
}

/** Every promise of the HTTP interface is kept with both: `describe.each(flavours)('Express $version', …)`. */
export const flavours: readonly Flavour[] = [five, await loadFour()]

async function loadFour(): Promise<Flavour> {
  vi.resetModules()
  vi.doMock('express', () => import('express-4'))
  const lib = await import('../../src/index.ts')
  const { default: express } = await import('express-4')
  vi.doUnmock('express')
  return { version: 4, express, lib }
}

/** A hub that is closed after the test, when all its clients have left. Its subscriptions must be gone by then. */
export function makeHub(lib: Library = five.lib, options: HubOptions = {}): ChannelHub {
  const hub = new lib.ChannelHub(options)
  onTestFinished(async () => {
    await vi.waitFor(() => expect(hub.stats()).toMatchObject(NOBODY), { interval: 2, timeout: 5_000 })
    if (options.clock === undefined) await hub.close()
  })
  return hub
}

export const NOBODY = { streams: 0, subscriptions: 0, channels: 0, bufferedBytes: 0 }

/** Serves an app until the test is over. Returns its base URL. */
export async function serve(app: RequestListener): Promise<string> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** `openStream` until the test is over. */
export async function open(
  target: RequestListener | string,
  path: string,
  options?: OpenStreamOptions,
): Promise<OpenStream> {
  const stream = await openStream(target, path, options)
  onTestFinished(() => stream[Symbol.asyncDispose]())
  return stream
}

/** An app with a hub's router at `/channels`. */
export function appWith(
  { express }: Flavour,
  hub: ChannelHub,
  options: Parameters<ChannelHub['router']>[0] = { channels: ['>'], publish: 'anyone' },
): Express {
  const app = express()
  app.use('/channels', hub.router(options))
  return app
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** One complete request, unchanged: supertest would change types and bodies. */
export function ask(
  url: string,
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: {
    method?: string
    headers?: Record<string, string | string[]> | undefined
    body?: string | Buffer | undefined
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request(new URL(url).origin, { method, path, headers, agent: false }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        resolve({ status: res.statusCode!, headers: res.headers, body: Buffer.concat(chunks).toString() })
      })
    })
    req.on('error', reject)
    req.end(body)
  })
}

/** A POST of JSON by default. */
export function post(
  url: string,
  path: string,
  body: string | Buffer,
  headers: Record<string, string | string[]> = {},
): Promise<Answer> {
  return ask(url, path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
}

/** Asserts a problem document, whole. Returns its detail. */
export function expectProblem(answer: Answer, status: number, code: string): string {
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body: expect.stringContaining(code) })
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  const problem = JSON.parse(answer.body)
  expect(problem).toEqual({
    type: `https://www.npmjs.com/package/express-sse-hub#${code.toLowerCase()}`,
    title: expect.stringMatching(/^[A-Z].*[a-zA-Z]$/),
    status,
    code,
    detail: expect.stringMatching(/\S.*\.$/s),
  })
  if (status === 503) expect(answer.headers['retry-after']).toMatch(/^[2-5]$/)
  return problem.detail
}

/** Asserts an answer that asks an EventSource to reconnect. */
export function expectOverload(answer: Answer): void {
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toBe('text/event-stream')
  const match = /^retry: (\d+)\nevent: hub\.closed\ndata: \{"reason":"overloaded"\}\n\n$/.exec(answer.body)
  expect(match, answer.body).not.toBeNull()
  expect(Number(match![1])).toBeGreaterThanOrEqual(2_000)
  expect(Number(match![1])).toBeLessThanOrEqual(4_000)
}

/** Resolves when `hub.events(…)`-like `collect` has all it waits for. */
export async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { interval: 2, timeout: 5_000 })
}

export const EVENT_STREAM = { accept: 'text/event-stream' }

/** A memory broker of which a part is replaced. */
export function brokerWith(parts: Partial<Broker>, { memoryBroker }: Library = five.lib): Broker {
  const real = memoryBroker()
  const whole: Broker = {
    start: (listener) => real.start(listener),
    publish: (groups) => real.publish(groups),
    subscribe: (selector) => real.subscribe(selector),
    unsubscribe: (selector) => real.unsubscribe(selector),
    read: (after, selector, max) => real.read(after, selector, max),
    latest: (count, selector, max) => real.latest(count, selector, max),
    close: () => real.close(),
  }
  return { ...whole, ...parts }
}
