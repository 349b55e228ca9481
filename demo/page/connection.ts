import { type Connection as Client, connect } from '../../src/client/index.ts'
import type { Channels } from '../channels.ts'

/** Identifies this page to the server: a secret random word. */
export const visitor = [...crypto.getRandomValues(new Uint8Array(12))]
  .map((n) => n.toString(36).padStart(2, '0'))
  .join('')

/** What an event is besides its data. */
export interface Heard {
  readonly event: string | undefined
  readonly id: string
}

/** The events of the raw bytes, before they are parsed. */
export interface Wire {
  /** A response has begun. */
  head(response: Response): void
  text(text: string): void
}

/** The one connection of the page. */
export interface Connection {
  /** Hears a channel; `visitor.*` and `ballast.*` are those of this page. */
  hear<C extends keyof Channels>(channel: C, listener: (data: Channels[C], heard: Heard) => void): void
  readonly client: Client<Channels>
}

const COMMON = ['machine', 'requests', 'log', 'board', 'readers', 'server', 'beat'] as const
/** Of each channel, to begin with: a minute of the machine. */
const REWIND = 120

export function openConnection(wire: Wire): Connection {
  type Listener = (data: never, heard: Heard) => void
  const listeners = new Map<string, Listener[]>()
  const client = connect<Channels>(`/channels?visitor=${visitor}`, {
    channels: [...COMMON, `visitor.${visitor}`, `ballast.${visitor}`],
    rewind: REWIND,
    // Sooner than an application would: a visitor who breaks something is looking at it.
    retry: { maxMs: 5_000, resetMs: 1_000 },
    fetch: async (input, init) => overhear(await fetch(input, init), wire),
  })
  client.on('event', ({ channel, event, data, id }) => {
    const name = channel.endsWith(`.${visitor}`) ? channel.replace(visitor, '*') : channel
    for (const listener of listeners.get(name) ?? []) listener(data as never, { event, id })
  })
  return {
    client,
    hear(channel, listener) {
      listeners.set(channel, [...(listeners.get(channel) ?? []), listener])
    },
  }
}

/** The same response, and everything that comes through it is shown to `wire` on its way. */
function overhear(response: Response, wire: Wire): Response {
  wire.head(response)
  if (response.body === null) return response
  const decoder = new TextDecoder()
  const passing = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      wire.text(decoder.decode(chunk, { stream: true }))
      controller.enqueue(chunk)
    },
  })
  const { status, statusText, headers } = response
  return new Response(response.body.pipeThrough(passing), { status, statusText, headers })
}

/** Sends a request in the name of this page. Throws the reason of a refusal. */
export async function ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<Response> {
  const response = await fetch(`${path}?visitor=${visitor}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  }).catch(() => {
    throw new Error('The server cannot be reached.')
  })
  if (response.ok) return response
  const { detail } = await response.json().catch(() => ({}))
  throw new Error(detail ?? `The server answered ${response.status}.`)
}
