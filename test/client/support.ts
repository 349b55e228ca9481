import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { expect, onTestFinished, vi } from 'vitest'
import { type Connection, type ConnectionEvents, type ConnectOptions, connect } from '../../src/client/index.ts'
import { ChannelHub, sse } from '../../src/index.ts'
import { cuttingProxy } from '../support/cutting-proxy.ts'

/** Serves until the test is over. Returns the base URL. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a scripted server was asked, and how it answers: one entry for each request, the last for all that follow. */
export interface Scripted {
  readonly url: string
  readonly requests: IncomingMessage[]
}

export type Answer = (res: ServerResponse, req: IncomingMessage) => unknown

export async function scripted(...answers: Answer[]): Promise<Scripted> {
  const requests: IncomingMessage[] = []
  const url = await serve((req, res) => {
    requests.push(req)
    answers[Math.min(requests.length, answers.length) - 1]!(res, req)
  })
  return { url, requests }
}

export const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/** Sends this, and ends unless it should stay open. */
export function stream(body: string | Uint8Array, stay = false): Answer {
  return (res) => {
    res.writeHead(200, EVENT_STREAM)
    if (stay) res.write(body)
    else res.end(body)
  }
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (res) => res.writeHead(code, headers).end()
}

/** The first block of a hub. */
export function hubOpen(id?: string, extra: object = {}): string {
  const data = { channels: ['board'], resumed: false, heartbeatIntervalMs: 15_000, ...extra }
  return `event: hub.open\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}

export function hubEvent(id: string, data: unknown, channel = 'board', event?: string): string {
  return `id: ${id}\ndata: ${JSON.stringify({ channel, event, data })}\n\n`
}

// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever comes
export type Any = any

export type Told = { [K in keyof ConnectionEvents<Any>]: ConnectionEvents<Any>[K][] }

/** All events that a connection emits, by type. */
export function told(connection: Connection<Any>): Told {
  const all: Told = {
    event: [],
    gap: [],
    snapshot: [],
    list: [],
    open: [],
    resumed: [],
    state: [],
    error: [],
    closed: [],
  }
  for (const type of Object.keys(all) as (keyof Told)[])
    connection.on(type, (detail) => all[type].push(detail as never))
  return all
}

/** Reconnects within milliseconds, unless a test asks for something else. */
export const FAST = { minMs: 1, maxMs: 5 }

/** Connected until the test is over. */
export function connected(url: string, options: ConnectOptions<Any> = {}): Connection<Any> & { told: Told } {
  const connection = connect(url, { retry: FAST, ...options })
  onTestFinished(() => connection.close())
  return Object.assign(connection, { told: told(connection) })
}

export async function until(condition: () => unknown, timeout = 5_000): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBeTruthy(), { interval: 2, timeout })
}

/** An app with a hub, behind a hop that can cut. */
export async function rig(options: ConstructorParameters<typeof ChannelHub>[0] = {}) {
  const hub = new ChannelHub<Any>(options)
  const app = express()
  app.use(sse({ retryMs: 500, heartbeatIntervalMs: 100 }))
  app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
  const url = await serve(app)
  const proxy = await cuttingProxy(Number(new URL(url).port))
  onTestFinished(async () => {
    await proxy.close()
    await hub.close()
  })
  return { hub, app, proxy, url: `${proxy.url}/channels` }
}
