import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { EventSource } from 'eventsource'
import { connect } from '../../../src/client/index.ts'

const require = createRequire(import.meta.url)

// What some of them need of a page: timers and fetch under another name, and a document that is visible.
Object.assign(globalThis, {
  window: globalThis,
  document: { hidden: false, addEventListener() {}, removeEventListener() {} },
  EventSource,
})

export interface Heard {
  readonly type: string
  readonly data: string
  readonly id: string | undefined
}

export interface Wishes {
  /** A header that is asked for again with every request, or as near as the client comes. */
  readonly header?: (() => string) | undefined
  readonly lastEventId?: string | undefined
  readonly body?: string | undefined
  /** Give up a stream that is silent for so long, where that can be said. */
  readonly silenceMs?: number | undefined
  hear(event: Heard): void
}

export interface Client {
  readonly name: string
  readonly version: string
  readonly entry: string
  /** What the case asks for cannot be said to this client. */
  readonly cannot: readonly (keyof Wishes)[]
  /** Connects with the defaults of the client. Returns what ends it. */
  open(url: string, wishes: Wishes): () => void
}

function versionOf(name: string): string {
  return JSON.parse(readFileSync(new URL(`../../../node_modules/${name}/package.json`, import.meta.url), 'utf8'))
    .version
}

function native(source: EventSource, hear: Wishes['hear']): () => void {
  const listener = (event: Event) => {
    const { type, data, lastEventId } = event as MessageEvent
    hear({ type, data, id: lastEventId })
  }
  for (const type of ['message', 'add']) source.addEventListener(type, listener as never)
  return () => source.close()
}

export const clients: readonly Client[] = [
  {
    name: 'express-sse-hub/client',
    version: versionOf('../'),
    entry: 'src/client/index.ts',
    cannot: [],
    open(url, { hear, header, lastEventId, body, silenceMs }) {
      const connection = connect(url, {
        lastEventId,
        body,
        silenceMs,
        headers: header && (() => ({ 'x-own': header() })),
      })
      connection.on('event', ({ event = 'message', data, id }) => hear({ type: event, data, id }))
      return () => connection.close()
    },
  },
  {
    name: 'eventsource',
    version: versionOf('eventsource'),
    entry: 'node_modules/eventsource/dist/index.js',
    cannot: ['lastEventId', 'body', 'silenceMs'],
    open(url, { hear, header }) {
      const own: typeof fetch = (input, init) =>
        fetch(input, { ...init, headers: { ...(init?.headers as object), 'x-own': header!() } })
      return native(new EventSource(url, header ? { fetch: own as never } : {}), hear)
    },
  },
  {
    name: '@microsoft/fetch-event-source',
    version: versionOf('@microsoft/fetch-event-source'),
    entry: 'node_modules/@microsoft/fetch-event-source/lib/esm/index.js',
    cannot: ['silenceMs'],
    open(url, { hear, header, lastEventId, body }) {
      const { fetchEventSource } = require('@microsoft/fetch-event-source')
      const controller = new AbortController()
      const own: typeof fetch = (input, init) =>
        fetch(input, { ...init, headers: { ...(init?.headers as object), 'x-own': header!() } })
      fetchEventSource(url, {
        ...(lastEventId ? { headers: { 'last-event-id': lastEventId } } : {}),
        ...(header ? { fetch: own } : {}),
        signal: controller.signal,
        ...(body ? { method: 'POST', body } : {}),
        onmessage: ({ event, data, id }: { event: string; data: string; id: string }) =>
          hear({ type: event || 'message', data, id }),
      }).catch(() => {})
      return () => controller.abort()
    },
  },
  {
    name: 'event-source-plus',
    version: versionOf('event-source-plus'),
    entry: 'node_modules/event-source-plus/dist/index.mjs',
    cannot: ['silenceMs'],
    open(url, { hear, header, lastEventId, body }) {
      const { EventSourcePlus } = require('event-source-plus')
      const source = new EventSourcePlus(url, {
        ...(header ? { headers: () => ({ 'x-own': header() }) } : {}),
        ...(lastEventId ? { headers: { 'last-event-id': lastEventId } } : {}),
        ...(body ? { method: 'post', body } : {}),
      })
      const controller = source.listen({
        onMessage: ({ event, data, id }: { event?: string; data: string; id?: string }) =>
          hear({ type: event || 'message', data, id }),
      })
      return () => controller.abort()
    },
  },
  {
    name: 'reconnecting-eventsource',
    version: versionOf('reconnecting-eventsource'),
    entry: 'node_modules/reconnecting-eventsource/build/esm/reconnecting-eventsource.js',
    cannot: ['header', 'body', 'silenceMs'],
    open(url, { hear, lastEventId }) {
      const { default: Reconnecting } = require('reconnecting-eventsource')
      return native(new Reconnecting(url, lastEventId ? { lastEventId } : {}), hear)
    },
  },
]
