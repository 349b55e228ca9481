import type { ServerResponse } from 'node:http'
import type { NextFunction, Request, Response } from 'express'
import { isSseError, SseError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { dropBody } from './body.ts'
import { clientStatusOf } from './hooks.ts'
import { sendOverload, sendProblem } from './problem.ts'

/** Answers the requests to a router that fail, and reports them to the listeners of the hub. */
export class Refusals {
  readonly #hub: Hub

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** Answers a GET. A failure that the request did not cause is an overload: the client reconnects. */
  answerStream(req: Request, res: Response, next: NextFunction, error: unknown, retryMs: number): void {
    if (clientStatusOf(error) !== undefined) return this.answer(req, res, next, error)
    // A status of 500 would end an EventSource permanently.
    this.#hub.failed(error)
    if (!isUnanswered(res)) return
    const overload = new SseError('ERR_SSE_OVERLOADED', 'The permission could not be decided. Try again later.')
    this.#refused(req, overload)
    sendOverload(res, retryMs, overload)
  }

  /** Answers a read without a stream. A failure that the request did not cause is 503: the client tries again. */
  answerRead(req: Request, res: Response, next: NextFunction, error: unknown): void {
    const isRefusal = isSseError(error) ? error.status !== 500 : clientStatusOf(error) !== undefined
    if (!isRefusal || (isSseError(error) && error.code === 'ERR_SSE_BROKER_UNAVAILABLE')) this.#hub.failed(error)
    const failure = 'The events could not be read. Try again later.'
    this.answer(req, res, next, isRefusal ? error : new SseError('ERR_SSE_OVERLOADED', failure))
  }

  /** Answers any other request. A failure that the request did not cause goes to `next`. */
  answer(req: Request, res: Response, next: NextFunction, error: unknown): void {
    dropBody(req)
    if (isSseError(error)) {
      if (!isUnanswered(res)) return
      this.#refused(req, error)
      try {
        return sendProblem(res, error)
      } catch (unsendable) {
        // An error of the application has a header that cannot be sent.
        return next(unsendable)
      }
    }
    // Once another answer has begun, an error handler could only cut the connection, and with it the next response on it.
    if (isUnanswered(res)) next(error)
    else this.#hub.failed(error)
  }

  #refused(req: Request, { code, status }: SseError): void {
    this.#hub.emit('refused', { req, code, status })
  }
}

/** Whether this router may still answer: no other code has, and the client is connected. */
export function isUnanswered(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed
}
