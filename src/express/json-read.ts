import type { NextFunction, Request, Response } from 'express'
import type { StoredEvent } from '../broker/broker.ts'
import { SseError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { PollAnswer, PollRequest } from '../hub/poll.ts'
import { FINISHED_ID } from '../protocol/hub-events.ts'
import { lastEventIdOf, parseAccept, sendNoContent } from '../stream/handshake.ts'
import { addressOf } from './address.ts'
import { dropBody, hasUnreadBody } from './body.ts'
import type { Permissions } from './permissions.ts'
import { queryValues } from './query.ts'
import { isUnanswered, type Refusals } from './refusals.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000
const MAX_WAIT_S = 60

/** The media ranges that include a type, from the most specific one. A full wildcard never stands for JSON. */
const JSON_RANGES = ['application/json', 'application/*'] as const
const STREAM_RANGES = ['text/event-stream', 'text/*', '*/*'] as const

/**
 * Whether `Accept` prefers JSON to an event stream: by its weight, or with equal weights because a more specific range
 * includes it. RFC 9110 section 12.5.1.
 */
export function prefersJson(req: Request): boolean {
  const ranges = parseAccept(req.headers.accept ?? '')
  const place = (names: readonly string[]) => names.findIndex((name) => ranges.has(name))
  const weight = (names: readonly string[]) => ranges.get(names[place(names)] ?? '') ?? 0
  const [json, stream] = [weight(JSON_RANGES), weight(STREAM_RANGES)]
  if (json !== stream) return json > stream
  return json > 0 && place(JSON_RANGES) < place(STREAM_RANGES)
}

/** Serves the events of channels as JSON: a read of the log, which may be held until there is something to answer. */
export class JsonReads {
  readonly #hub: Hub
  readonly #permissions: Permissions
  readonly #refusals: Refusals

  constructor(hub: Hub, permissions: Permissions, refusals: Refusals) {
    this.#hub = hub
    this.#permissions = permissions
    this.#refusals = refusals
  }

  /** `select` returns the requested names, checked. */
  async serve(
    req: Request,
    res: Response,
    next: NextFunction,
    select: () => Promise<readonly string[]>,
  ): Promise<void> {
    const admission = this.#hub.admissions.begin()
    const gone = new AbortController()
    const onClose = () => gone.abort()
    res.on('close', onClose)
    try {
      const names = await select()
      const { after, rewind, limit, waitMs } = parametersOf(req)
      const { until, info } = await this.#permissions.admit(req, names)
      // While a body is unread, Node does not report the end of the connection.
      if (hasUnreadBody(req)) dropBody(req)
      if (after === FINISHED_ID) return sendNoContent(res)
      const authorize = this.#permissions.asks ? this.#permissions.authorize(req) : undefined
      const address = this.#hub.options.maxStreamsPerAddress > 0 ? addressOf(req) : undefined
      const signal = gone.signal
      const request: PollRequest = {
        names,
        after,
        rewind,
        limit,
        waitMs,
        info,
        until,
        authorize,
        address,
        admission,
        signal,
      }
      // The head is the whole answer: nothing is read.
      const answer = req.method === 'HEAD' ? undefined : await this.#hub.poll(request)
      if (isUnanswered(res)) send(res, answer)
    } catch (error) {
      this.#refusals.answerRead(req, res, next, error)
    } finally {
      admission.end()
      res.off('close', onClose)
    }
  }
}

function parametersOf(req: Request): Pick<PollRequest, 'after' | 'rewind' | 'limit' | 'waitMs'> {
  const header = req.headers['last-event-id']
  const asked = queryValues(req, 'after', 'ERR_SSE_QUERY').join(', ')
  const after = header === undefined || header === '' ? asked || lastEventIdOf(req) : lastEventIdOf(req)
  const limit = Math.min(numberOf(req, 'limit', DEFAULT_LIMIT, 1, 'events'), MAX_LIMIT)
  const wait = Math.min(numberOf(req, 'wait', 0, 0, 'seconds'), MAX_WAIT_S)
  // Without a position the newest events are the answer.
  const rewind = Math.min(numberOf(req, 'rewind', after === '' ? limit : 0, 0, 'events'), MAX_LIMIT)
  return { after, rewind, limit, waitMs: 1_000 * wait }
}

function numberOf(req: Request, name: string, fallback: number, least: number, unit: string): number {
  const values = queryValues(req, name, 'ERR_SSE_QUERY')
  if (values.length === 0) return fallback
  if (values.length === 1 && /^\d+$/.test(values[0]!) && Number(values[0]) >= least) return Number(values[0])
  throw new SseError(
    'ERR_SSE_QUERY',
    `The query parameter ${name} must be a number of ${unit} from ${least}, in digits.`,
  )
}

function send(res: Response, answer: PollAnswer | undefined): void {
  // The log changes, and `Accept` and the permission decide.
  res.statusCode = 200
  res.setHeader('Content-Type', 'application/json; charset=utf-8')
  res.setHeader('Cache-Control', 'no-store')
  if (answer === undefined) return void res.end()
  const body = textOf(answer)
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.end(body)
}

/** As text, because the data of an event is JSON already: its numbers keep their digits. */
function textOf({ position, end, events, gap, snapshots }: PollAnswer): string {
  const head = JSON.stringify({ position, end, gap, snapshots })
  return `${head.slice(0, -1)},"events":[${events.map(textOfEvent).join(',')}]}`
}

function textOfEvent({ channel, id, event, data, json }: StoredEvent): string {
  const head = JSON.stringify({ channel, id, event })
  return `${head.slice(0, -1)},"data":${json ? data : JSON.stringify(data)}}`
}
