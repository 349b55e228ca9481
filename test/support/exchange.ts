import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import express from 'express'
import express4 from 'express-4'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream, responseStreamOf } from '../../src/stream/http-event-stream.ts'
import type { SseOptions } from '../../src/stream/options.ts'
import type { ResponseStream } from '../../src/stream/response-stream.ts'
import { type OpenStream, type OpenStreamOptions, openStream } from '../../src/testing/index.ts'

export type Handler = (req: IncomingMessage, res: ServerResponse) => void

/** The servers for a handler. The behaviour of a stream must not depend on the server. */
export const SERVERS: readonly (readonly [name: string, app: (handler: Handler) => RequestListener])[] = [
  ['node:http', (handler) => handler],
  ['Express 5', (handler) => express().use(handler)],
  ['Express 4', (handler) => express4().use(handler)],
]

/** One request and its response, with an unused stream. */
export interface Exchange extends AsyncDisposable {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly sse: EventStream
  /** What the hub and the middleware use of it. */
  readonly stream: ResponseStream
  /** The client, once it is answered. */
  readonly client: Promise<OpenStream>
}

export interface ExchangeOptions extends OpenStreamOptions {
  readonly path?: string
  readonly sse?: SseOptions
  readonly app?: (handler: Handler) => RequestListener
}

/** Makes a request, and hands both ends of it to the test. */
export async function exchange({
  path = '/',
  sse,
  app = (handler) => handler,
  ...request
}: ExchangeOptions = {}): Promise<Exchange> {
  let client: Promise<OpenStream> | undefined
  const [req, res, opened] = await new Promise<[IncomingMessage, ServerResponse, EventStream]>((resolve, reject) => {
    client = openStream(
      app((req, res) => resolve([req, res, eventStream(req, res, sse)])),
      path,
      request,
    )
    client.catch(reject)
  })
  return {
    req,
    res,
    sse: opened,
    stream: responseStreamOf(opened)!,
    client: client!,
    async [Symbol.asyncDispose]() {
      res.destroy()
      await client!.then(
        (opened) => opened[Symbol.asyncDispose](),
        () => {},
      )
    },
  }
}
