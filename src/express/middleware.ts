import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EventStream } from '../stream/event-stream.ts'
import { HttpEventStream } from '../stream/http-event-stream.ts'
import { type ResolvedSseOptions, resolveSseOptions, type SseOptions } from '../stream/options.ts'
import { ResponseStream } from '../stream/response-stream.ts'

declare global {
  namespace Express {
    interface Response {
      /** This response as an event stream, once `sse()` is in use. Nothing is sent until it is used. */
      readonly sse: EventStream
    }
  }
}

/** A middleware typed by node:http, which fits every version of Express. */
export type SseMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/** Where a response keeps the options for its stream, and then the stream. Each is made on first use. `Symbol.for`: for all copies of this package. */
const SLOT = Symbol.for('express-sse-hub.stream')

interface Slot {
  readonly req: IncomingMessage
  options: ResolvedSseOptions
  stream: ResponseStream | undefined
  sse: EventStream | undefined
}

type SseResponse = ServerResponse & { [SLOT]?: Slot }

/** One property for all responses: it makes the stream when it is first asked for. */
const property: PropertyDescriptor = {
  configurable: true,
  get(this: SseResponse): EventStream {
    const slot = this[SLOT]!
    slot.sse ??= new HttpEventStream(streamIn(slot, this))
    return slot.sse
  },
}

/**
 * Puts an event stream on every response as `res.sse`. An ordinary response is not changed, and an ordinary route pays
 * one property. May be used again deeper with other options: the last before the head win.
 *
 * Throws a TypeError that names a wrong option. An inherited `res.sse`, such as a method of Express itself, is shadowed. A
 * request whose response has its own `res.sse` from other code fails with an error that names
 * `eventStream(req, res, options?)`, which gives the same object without the property.
 */
export function sse(options?: SseOptions): SseMiddleware {
  const resolved = resolveSseOptions(options)
  return (req, res: SseResponse, next) => {
    const slot = res[SLOT]
    if (slot !== undefined) {
      slot.options = resolved
      slot.stream?.configure(resolved)
    } else if (Object.hasOwn(res, 'sse')) {
      return next(
        new Error(
          'sse(): other code has put its own property `sse` on this response. Use eventStream(req, res, options?) instead.',
        ),
      )
    } else {
      res[SLOT] = { req, options: resolved, stream: undefined, sse: undefined }
      Object.defineProperty(res, 'sse', property)
    }
    next()
  }
}

/** The stream of a response: that of `sse()` where it is in use, else one of its own. */
export function streamOf(req: IncomingMessage, res: SseResponse, fallback: ResolvedSseOptions): ResponseStream {
  const slot = res[SLOT]
  return slot === undefined ? new ResponseStream(req, res, fallback) : streamIn(slot, res)
}

function streamIn(slot: Slot, res: ServerResponse): ResponseStream {
  slot.stream ??= new ResponseStream(slot.req, res, slot.options)
  return slot.stream
}
