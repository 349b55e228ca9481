import type { ServerResponse } from 'node:http'
import express, { type NextFunction, type Request, type Response, type Router } from 'express'
import { covers, isPattern, parseChannelName, parseChannelOrPattern } from '../channel-name.ts'
import { isSseError, SseError } from '../errors.ts'
import type { Authorize, Decision } from '../hub/guard.ts'
import type { Hub } from '../hub/hub.ts'
import type { Admission, SubscribeInit } from '../hub/subscribe-init.ts'
import { booleanOption, functionOption, integerOption, optionsObject } from '../option.ts'
import type { EventStream } from '../stream/event-stream.ts'
import { queryOf } from '../stream/handshake.ts'
import { resolveSseOptions } from '../stream/options.ts'
import { assertSameSite } from './cross-site.ts'
import { streamOf } from './middleware.ts'
import { sendOverload, sendProblem } from './problem.ts'
import { PublishReader } from './publish-request.ts'

/** What a `subscribe` hook answers: exactly `true`, or an object, allows; anything else refuses. */
export type SubscribeVerdict = boolean | Admitted

interface Admitted {
  /** When the permission ends: the stream is closed with `'expired'` then. One that is over is a refusal. */
  until?: Date | undefined
  /** Becomes `subscription.info`. */
  info?: unknown
}

// A hook may ask for a narrower request, such as one with a user on it: methods are checked that way, functions are not.
type SubscribeHook = {
  hook(req: Request, channels: readonly string[]): SubscribeVerdict | Promise<SubscribeVerdict>
}['hook']
type PublishHook = { hook(req: Request, channel: string): boolean | Promise<boolean> }['hook']
type ChannelOf = { hook(req: Request): string | Promise<string> }['hook']

/** Options of `hub.channel(name).router()`: those of every router but the channels. */
export interface ChannelRouterOptions {
  /**
   * Who may read. Default: whoever reaches the route. Asked on every request, a reconnection too. Exactly `true`, or an
   * object, allows; anything else is 403. An error with a 4xx `status` is answered with it and its `headers`; any other
   * is a failure, which tells the client to come back. For a pattern it is asked again for each channel, before that
   * channel's first event.
   */
  subscribe?: 'anyone' | SubscribeHook | undefined
  /**
   * Who may POST. Default: nobody. `'anyone'`: whoever reaches the route. Exactly `true` allows; anything else is 403.
   * Errors as with `subscribe`, but a failure goes to `next`.
   */
  publish?: 'anyone' | PublishHook | undefined
  /** Origins whose pages may POST across sites, such as `https://admin.example.org`; `'null'` for opaque ones. Default: none. */
  allowedOrigins?: readonly string[] | undefined
  /** Bytes of one request body. Default 1 048 576. A larger one is 413. */
  maxBodyBytes?: number | undefined
  /**
   * The option of `sse()`, for the streams of this router: either is enough. Default false. A stream with a pattern among
   * its channels stays as it is where `subscribe` is a function, because that may be asked again with the request; where
   * it is a function and the stream has names only, a pattern that is added later is denied every channel.
   */
  letGo?: boolean | undefined
}

/** Options of `hub.router()`. Exactly one of `channels` and `channel`. */
export interface RouterOptions extends ChannelRouterOptions {
  /**
   * The names and patterns that are served at `/:channel` and at `?channel=a&channel=b`; anything else is 404. A pattern
   * can be asked for only where an entry covers it. `['>']` serves all.
   */
  channels?: readonly string[] | undefined
  /** The one channel that is served on the mount itself, for routers mounted under parameters. */
  channel?: ChannelOf | undefined
}

/** Subscribes the stream of a request, and answers what is refused. */
export type Serve = (
  stream: EventStream,
  channels: readonly string[],
  init: SubscribeInit,
  admission: Admission,
) => Promise<unknown>

const NAMES = ['channels', 'channel', 'subscribe', 'publish', 'allowedOrigins', 'maxBodyBytes', 'letGo'] as const

/** The routes of a hub: GET subscribes, POST publishes. Throws a TypeError that names a wrong option. */
export function hubRouter(hub: Hub, given: RouterOptions, serve: Serve): Router {
  const options = optionsObject('router()', given, NAMES)
  const routes = new Routes(hub, options, serve)
  const router = express.Router({ mergeParams: true })
  const { channel } = options
  if (channel === undefined) {
    // What is asked for most comes first.
    router.post('/:channel', (req, res, next) => routes.post(req, res, next, () => req.params.channel))
    router.get('/:channel', (req, res, next) => routes.get(req, res, next, () => [req.params.channel]))
    router.get('/', (req, res, next) => routes.get(req, res, next, () => queryOf(req).getAll('channel')))
    router.all('/', (req, res, next) => routes.other(req, res, next, false))
    router.all('/:channel', (req, res, next) => routes.other(req, res, next, true))
  } else {
    router.post('/', (req, res, next) => routes.post(req, res, next, () => channel.call(options, req)))
    router.get('/', (req, res, next) => routes.get(req, res, next, async () => [await channel.call(options, req)]))
    router.all('/', (req, res, next) => routes.other(req, res, next, true))
  }
  return router
}

class Routes {
  readonly #hub: Hub
  readonly #options: RouterOptions
  readonly #serve: Serve
  readonly #served: readonly string[] | undefined
  readonly #allowedOrigins: ReadonlySet<string>
  readonly #reader: PublishReader
  readonly #streamOptions

  constructor(hub: Hub, options: RouterOptions, serve: Serve) {
    this.#hub = hub
    this.#options = options
    this.#serve = serve
    if ((options.channels === undefined) === (options.channel === undefined)) {
      throw new TypeError(
        "A router has exactly one of the options channels and channel. channels: ['>'] serves all channels.",
      )
    }
    this.#served = options.channels === undefined ? undefined : parseServed(options.channels)
    functionOption('channel', options.channel, 2)
    if (options.subscribe !== 'anyone') functionOption('subscribe', options.subscribe, 2)
    if (options.publish !== 'anyone') functionOption('publish', options.publish, 2)
    this.#allowedOrigins = new Set(parseOrigins(options.allowedOrigins))
    const maxBodyBytes = integerOption('maxBodyBytes', options.maxBodyBytes, 1_048_576, 1, Number.MAX_SAFE_INTEGER)
    this.#reader = new PublishReader(maxBodyBytes, hub.options.maxEventBytes)
    const letGo = booleanOption('letGo', options.letGo, false)
    this.#streamOptions = resolveSseOptions({ clock: hub.options.clock, letGo })
  }

  async get(req: Request, res: Response, next: NextFunction, asked: () => string[] | Promise<string[]>): Promise<void> {
    const stream = streamOf(req, res, this.#streamOptions)
    try {
      if (!stream.accepted) {
        throw new SseError('ERR_SSE_NOT_ACCEPTABLE', 'A channel is an event stream; Accept excludes text/event-stream.')
      }
      const names = this.#hub.parseNames(await asked())
      for (const name of names) this.#assertServed(name)
      const rewind = parseRewind(queryOf(req).getAll('rewind'))
      const envelope = queryOf(req).get('envelope') === '1'
      const { until, info } = await this.#admit(req, names)
      const asks = typeof this.#options.subscribe === 'function'
      const letsGo = (this.#streamOptions.letGo || stream.letsGo) && !(asks && names.some(isPattern))
      const authorize = asks ? (letsGo ? denied : this.#authorize(req)) : undefined
      await this.#serve(stream, names, { rewind, envelope, info }, { until, authorize })
      letRoutingGo(req)
      if (letsGo) stream.letGo()
    } catch (error) {
      if (res.headersSent || clientStatusOf(error) !== undefined) return this.#answer(req, res, next, error)
      // A failure is no refusal: the 500 that it is would end an EventSource for good.
      this.#hub.failed(error)
      const overload = new SseError('ERR_SSE_OVERLOADED', 'The request could not be decided on: come back later.')
      this.#refused(req, overload)
      if (stream.state === 'idle') sendOverload(res, stream.retryMs, overload)
    }
  }

  async post(req: Request, res: Response, next: NextFunction, asked: () => string | Promise<string>): Promise<void> {
    try {
      const channel = parseChannelName(await asked())
      this.#assertServed(channel)
      await this.#assertMayPublish(req, channel)
      const { events, batch } = await this.#reader.read(req, channel)
      const receipts = await this.#hub.publish(events)
      const status = receipts.every((receipt) => receipt.duplicate) ? 200 : 201
      const localSubscribers = Math.max(...receipts.map((receipt) => receipt.localSubscribers))
      if (!batch) return sendJson(res, status, receipts[0])
      const ids = receipts.map((receipt) => receipt.id)
      const duplicates = receipts.map((receipt) => receipt.duplicate)
      sendJson(res, status, { ids, channel, duplicates, localSubscribers })
    } catch (error) {
      this.#answer(req, res, next, error)
    }
  }

  /** Methods that there are none of. OPTIONS is left to Express and to `cors()`. */
  other(req: Request, res: Response, next: NextFunction, takesPost: boolean): void {
    if (req.method === 'OPTIONS') return next()
    const allow = takesPost && this.#options.publish !== undefined ? 'GET, HEAD, POST' : 'GET, HEAD'
    const detail = `${req.method} is not for this resource. It takes ${allow}.`
    this.#answer(req, res, next, new SseError('ERR_SSE_METHOD_NOT_ALLOWED', detail, { headers: { Allow: allow } }))
  }

  #assertServed(name: string): void {
    if (this.#served === undefined || this.#served.some((entry) => covers(entry, name))) return
    throw new SseError('ERR_SSE_CHANNEL_UNKNOWN', `There is no channel ${name} here (option channels of the router).`)
  }

  /** What the hook says of the request. Throws a refusal as SseError, a failure as it is. */
  async #admit(req: Request, names: readonly string[]): Promise<Admitted> {
    const admitted = await this.#ask(req, names).catch((error) => {
      throw asRefusal(error, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
    })
    if (admitted !== undefined) return admitted
    throw new SseError('ERR_SSE_SUBSCRIBE_FORBIDDEN', `You may not subscribe to ${names.join(', ')}.`)
  }

  /** Undefined when the hook refuses. Rejects with what it throws. */
  async #ask(req: Request, names: readonly string[]): Promise<Admitted | undefined> {
    const { subscribe } = this.#options
    if (subscribe === undefined || subscribe === 'anyone') return {}
    const verdict = await subscribe.call(this.#options, req, names)
    if (verdict === true) return {}
    if (typeof verdict !== 'object' || verdict === null) return undefined
    const { until, info } = verdict
    if (until !== undefined && !(until instanceof Date && !Number.isNaN(until.getTime()))) {
      throw new TypeError('The until of a subscribe hook is a Date.')
    }
    // A permission that has ended is none.
    if (until !== undefined && until.getTime() <= this.#hub.options.clock.now()) return undefined
    return { until, info }
  }

  /** The hook for one channel that a pattern stands for. */
  #authorize(req: Request): (channel: string) => Promise<Decision> {
    return async (channel) => {
      try {
        const verdict = await this.#ask(req, [channel])
        return { allowed: verdict !== undefined, until: verdict?.until }
      } catch (error) {
        if (clientStatusOf(error) !== undefined) return { allowed: false }
        throw error
      }
    }
  }

  async #assertMayPublish(req: Request, channel: string): Promise<void> {
    const { publish } = this.#options
    if (publish === undefined) {
      throw new SseError('ERR_SSE_PUBLISH_CLOSED', 'Nobody may publish here: the router has no option publish.')
    }
    assertSameSite(req, this.#allowedOrigins)
    if (publish === 'anyone') return
    let allowed: unknown
    try {
      allowed = await publish.call(this.#options, req, channel)
    } catch (error) {
      throw asRefusal(error, 'ERR_SSE_PUBLISH_FORBIDDEN')
    }
    if (allowed !== true) throw new SseError('ERR_SSE_PUBLISH_FORBIDDEN', `You may not publish to ${channel}.`)
  }

  #answer(req: Request, res: Response, next: NextFunction, error: unknown): void {
    if (!isSseError(error) || res.headersSent) return next(error)
    this.#refused(req, error)
    sendProblem(res, error)
  }

  #refused(req: Request, { code, status }: SseError): void {
    this.#hub.emit('refused', { req, code, status })
  }
}

/**
 * Express keeps the state of its routing, of this router and of every one around it, for as long as there is the request:
 * nearly 2 KiB. Once a stream is open nobody can be next.
 */
function letRoutingGo(req: Request): void {
  req.next = nobodyIsNext
}

function nobodyIsNext(): void {}

/** The hook for channels of a pattern that is added when there is no request any more to ask about. */
const denied: Authorize = async () => ({ allowed: false })

/** What `res.json` does, without hashing for an ETag, which is for answers that are asked for again. In one write. */
function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  const head = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) }
  res.writeHead(status, head).end(body)
}

function parseServed(channels: unknown): readonly string[] {
  if (!Array.isArray(channels) || channels.length === 0) {
    throw new TypeError('The option channels is an array of channel names and patterns, with at least one.')
  }
  return channels.map((name) => {
    try {
      return parseChannelOrPattern(name)
    } catch (error) {
      throw new TypeError(`The option channels: ${(error as SseError).detail}`)
    }
  })
}

function parseOrigins(origins: unknown): readonly string[] {
  if (origins === undefined) return []
  if (Array.isArray(origins) && origins.every((o) => o === 'null' || (URL.canParse(o) && new URL(o).origin === o))) {
    return origins
  }
  throw new TypeError(
    "The option allowedOrigins is an array of origins, such as 'https://admin.example.org', or 'null'.",
  )
}

function parseRewind(values: readonly string[]): number {
  if (values.length === 0) return 0
  if (values.length === 1 && /^\d+$/.test(values[0]!)) return Math.min(Number(values[0]), 1_000)
  throw new SseError('ERR_SSE_REWIND', 'rewind is a number of events, in digits: more than 1000 means 1000.')
}

/** The status of an error that says that the request is at fault. */
function clientStatusOf(error: unknown): number | undefined {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown }
  const code = status ?? statusCode
  return typeof code === 'number' && code >= 400 && code <= 499 ? code : undefined
}

/** An error of a hook as the refusal that it is; one that is a failure stays as it is. */
function asRefusal(error: unknown, code: 'ERR_SSE_PUBLISH_FORBIDDEN' | 'ERR_SSE_SUBSCRIBE_FORBIDDEN'): unknown {
  const status = clientStatusOf(error)
  if (status === undefined || isSseError(error)) return error
  const { expose, message, headers } = error as { expose?: unknown; message: string; headers?: Record<string, string> }
  return new SseError(code, expose === true ? message : 'The request was refused.', { cause: error, headers, status })
}
