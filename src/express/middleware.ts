import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EventStream } from '../stream/event-stream.ts'
import { HttpEventStream } from '../stream/http-event-stream.ts'
import { type ResolvedSseOptions, resolveSseOptions, type SseOptions } from '../stream/options.ts'
import { ResponseStream } from '../stream/response-stream.ts'

declare global {
  namespace Express {
    interface Response {
      /** This response as an event stream, if `sse()` is in use. Nothing is sent until it is used. */
      readonly sse: EventStream
    }
  }
}

/** A middleware with the types of node:http, which fits every version of Express. */
export type SseMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * The property of a response for the options of its stream, and then for the stream. Each is made on first use.
 * `Symbol.for`: shared by all copies of this package.
 */
const SLOT = Symbol.for('express-sse-hub.stream')

interface Slot {
  readonly req: IncomingMessage
  options: ResolvedSseOptions
  stream: ResponseStream | undefined
  sse: EventStream | undefined
}

type SseResponse = ServerResponse & { [SLOT]?: Slot }

/** One property for all responses: it makes the stream at the first access. */
const property: PropertyDescriptor = {
  configurable: true,
  get(this: SseResponse): EventStream {
    const slot = this[SLOT]!
    slot.sse ??= new HttpEventStream(streamIn(slot, this))
    return slot.sse
  },
}

/**
 * Adds an event stream to every response as `res.sse`. It does not change an ordinary response, and costs an ordinary
 * route one property. A later `sse()` with other options replaces an earlier one, until the head is sent.
 *
 * Throws a TypeError that names an invalid option. An inherited `res.sse`, such as a method of Express itself, is
 * hidden. If other code has put its own `res.sse` on the response, the request fails with an error that names
 * `eventStream(req, res, options?)`, which returns the same object without the property.
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

/** The stream of a response: that of `sse()` if it is in use, otherwise a new one. */
export function streamOf(req: IncomingMessage, res: SseResponse, fallback: ResolvedSseOptions): ResponseStream {
  const slot = res[SLOT]
  return slot === undefined ? new ResponseStream(req, res, fallback) : streamIn(slot, res)
}

function streamIn(slot: Slot, res: ServerResponse): ResponseStream {
  slot.stream ??= new ResponseStream(slot.req, res, slot.options)
  return slot.stream
}
