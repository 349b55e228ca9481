import type { ServerResponse } from 'node:http'
import express, { type ErrorRequestHandler, type NextFunction, type Request, type Response, type Router } from 'express'
import { covers, isPattern, parseChannelName, parseChannelOrPattern } from '../channel-name.ts'
import type { ChannelEntry } from '../channel-types.ts'
import { isSseError, SseError } from '../errors.ts'
import type { Authorize } from '../hub/guard.ts'
import type { Hub } from '../hub/hub.ts'
import { booleanOption, functionOption, integerOption, optionsObject } from '../option.ts'
import { inThisContext } from '../server-clock.ts'
import { resolveSseOptions } from '../stream/options.ts'
import { dropBody } from './body.ts'
import { assertSameSite } from './cross-site.ts'
import {
  admittedBy,
  answerOf,
  asRefusal,
  clientStatusOf,
  mistakeIn,
  type PublishHook,
  type SubscribeHook,
} from './hooks.ts'
import { streamOf } from './middleware.ts'
import { inTurn } from './pipeline.ts'
import { sendOverload, sendProblem } from './problem.ts'
import { PublishReader } from './publish-request.ts'
import { queryValues } from './query.ts'
import { serveSubscription } from './subscribe.ts'

type ChannelOf = { hook(req: Request): string | Promise<string> }['hook']

/** Options of `hub.channel(name).router()`: those of every router but the channels. */
export interface ChannelRouterOptions {
  /**
   * Who may read. Default: every request that reaches the route. Asked on every request, a reconnection too. Exactly `true`,
   * or a plain object with nothing but `until` and `info`, allows; anything else is 403. An error with a 4xx `status` is
   * answered with it and its `headers`; any other is a failure, which tells the client to come back, and so is no answer
   * within 10 s. For a pattern it is asked again for each channel, before that channel's first event.
   */
  subscribe?: 'anyone' | SubscribeHook | undefined
  /**
   * Who may POST. Default: no request. `'anyone'`: every request that reaches the route. Exactly `true` allows; anything
   * else is 403. Errors as with `subscribe`, but a failure goes to `next`; no answer within 10 s is 503.
   */
  publish?: 'anyone' | PublishHook | undefined
  /** Origins whose pages may POST across sites, such as `https://admin.example.org`; `'null'` for opaque ones. Default: none. */
  allowedOrigins?: readonly string[] | undefined
  /** Bytes of one request body. Default 1 048 576. A larger one is 413. */
  maxBodyBytes?: number | undefined
  /** Milliseconds until the whole body of a POST must be there; a slower one is 408. Default 30 000; 0 = no limit. */
  bodyTimeoutMs?: number | undefined
  /**
   * The option of `sse()`, for the streams of this router: either is enough. Default false. A stream with a pattern among
   * its channels stays as it is where `subscribe` is a function, because that may be asked again with the request; where
   * it is a function and the stream has names only, a pattern that is added later is denied every channel.
   */
  letGo?: boolean | undefined
}

/** Options of `hub.router()`. Exactly one of `channels` and `channel`. */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel is served
export interface RouterOptions<Channels = any> extends ChannelRouterOptions {
  /**
   * The names and patterns that are served at `/:channel` and at `?channel=a&channel=b`; anything else is 404. A pattern
   * can be asked for only where an entry covers it. `['>']` serves all.
   */
  channels?: readonly ChannelEntry<Channels>[] | undefined
  /**
   * The one channel that is served on the mount itself, for routers mounted under parameters. The result is a name: a
   * wildcard in it is 400.
   */
  channel?: ChannelOf | undefined
}

const NAMES = [
  'channels',
  'channel',
  'subscribe',
  'publish',
  'allowedOrigins',
  'maxBodyBytes',
  'bodyTimeoutMs',
  'letGo',
] as const

type Handler = (req: Request, res: Response, next: NextFunction) => void

/** The routes of a hub: GET subscribes, POST publishes. Throws a TypeError that names a wrong option. */
export function hubRouter(hub: Hub, given: RouterOptions): Router {
  const options = optionsObject('router()', given, NAMES)
  const routes = new Routes(hub, options)
  const router = express.Router({ mergeParams: true })
  const { channel } = options
  router.use(inTurn)
  if (channel === undefined) {
    // The route that is used most comes first.
    router.post(
      '/:channel',
      settled(routes.post, (req) => String(req.params['channel'])),
    )
    router.get(
      '/:channel',
      settled(routes.get, (req) => [String(req.params['channel'])]),
    )
    router.get(
      '/',
      settled(routes.get, (req) => queryValues(req, 'channel', 'ERR_SSE_CHANNEL_REQUIRED')),
    )
    router.all('/', (req, res, next) => routes.other(req, res, next, false))
    router.all('/:channel', (req, res, next) => routes.other(req, res, next, true))
  } else {
    router.post(
      '/',
      settled(routes.post, (req) => channel.call(options, req)),
    )
    router.get(
      '/',
      settled(routes.get, async (req) => [await channel.call(options, req)]),
    )
    router.all('/', (req, res, next) => routes.other(req, res, next, true))
  }
  router.use(routes.unnamed, routes.undecodable)
  return router
}

/** Express 4 does not look at the promise of a route: what it rejects with goes to `next` here. */
function settled<T>(
  route: (req: Request, res: Response, next: NextFunction, asked: (req: Request) => T) => Promise<void>,
  asked: (req: Request) => T,
): Handler {
  return (req, res, next) => {
    route(req, res, next, asked).catch(next)
  }
}

class Routes {
  readonly #hub: Hub
  readonly #options: RouterOptions
  readonly #served: readonly string[] | undefined
  readonly #allowedOrigins: ReadonlySet<string>
  readonly #reader: PublishReader
  readonly #streamOptions

  constructor(hub: Hub, options: RouterOptions) {
    this.#hub = hub
    this.#options = options
    if ((options.channels === undefined) === (options.channel === undefined)) {
      throw new TypeError(
        "A router must have exactly one of the options `channels` and `channel`. channels: ['>'] serves all channels.",
      )
    }
    this.#served = options.channels === undefined ? undefined : parseServed(options.channels)
    functionOption('channel', options.channel, 2)
    if (options.subscribe !== 'anyone') functionOption('subscribe', options.subscribe, 2)
    if (options.publish !== 'anyone') functionOption('publish', options.publish, 2)
    this.#allowedOrigins = new Set(parseOrigins(options.allowedOrigins))
    const { clock, maxEventBytes } = hub.options
    const maxBytes = integerOption('maxBodyBytes', options.maxBodyBytes, 1_048_576, 1, Number.MAX_SAFE_INTEGER)
    const timeoutMs = integerOption('bodyTimeoutMs', options.bodyTimeoutMs, 30_000, 0, 2 ** 31 - 1)
    this.#reader = new PublishReader({ maxBytes, timeoutMs, clock }, maxEventBytes)
    const letGo = booleanOption('letGo', options.letGo, false)
    this.#streamOptions = resolveSseOptions({ clock, letGo })
  }

  readonly get = async (
    req: Request,
    res: Response,
    next: NextFunction,
    asked: (req: Request) => string[] | Promise<string[]>,
  ): Promise<void> => {
    const stream = streamOf(req, res, this.#streamOptions)
    const admission = this.#hub.admissions.begin()
    try {
      if (!stream.accepted) {
        throw new SseError('ERR_SSE_NOT_ACCEPTABLE', 'A channel is an event stream; Accept excludes text/event-stream.')
      }
      const names = [...new Set((await answerOf(this.#hub.options.clock, () => asked(req))).map(this.#parse))]
      this.#hub.assertSelection(names)
      for (const name of names) this.#assertServed(name)
      const rewind = parseRewind(queryValues(req, 'rewind', 'ERR_SSE_REWIND'))
      const envelope = queryValues(req, 'envelope', 'ERR_SSE_CHANNEL_NAME').includes('1')
      const { until, info } = await this.#admit(req, names)
      // With a body that is not read, the end of the connection is not noticed.
      if (hasUnreadBody(req)) dropBody(req)
      const asks = typeof this.#options.subscribe === 'function'
      const letsGo = (this.#streamOptions.letGo || stream.options.letGo) && !(asks && names.some(isPattern))
      const authorize = asks ? (letsGo ? denied : this.#authorize(req)) : undefined
      const form = envelope ? 'envelope' : 'plain'
      const request = { form, rewind, info, until, authorize, admission, after: stream.lastEventId } as const
      await serveSubscription(this.#hub, stream, () => names, request)
      letRoutingGo(req)
      if (letsGo) stream.letGo()
    } catch (error) {
      this.#failedGet(req, res, next, error, stream.retryMs)
    } finally {
      admission.end()
    }
  }

  readonly post = async (
    req: Request,
    res: Response,
    next: NextFunction,
    asked: (req: Request) => string | Promise<string>,
  ): Promise<void> => {
    try {
      const { clock } = this.#hub.options
      const channel = parseChannelName(await answerOf(clock, () => asked(req)))
      this.#assertServed(channel)
      await this.#assertMayPublish(req, channel)
      const { events, batch } = await this.#reader.read(req, channel)
      // A time-out of the application may have answered meanwhile: its client was told that nothing was published.
      if (!isUnanswered(res)) return
      const receipts = await this.#hub.publish(events)
      if (!isUnanswered(res)) return
      const status = receipts.every((receipt) => receipt.duplicate) ? 200 : 201
      const localSubscribers = Math.max(...receipts.map((receipt) => receipt.localSubscribers))
      if (!batch) return sendJson(res, status, receipts[0])
      const ids = receipts.map((receipt) => receipt.id)
      const duplicates = receipts.map((receipt) => receipt.duplicate)
      sendJson(res, status, { ids, channel, duplicates, localSubscribers })
    } catch (error) {
      if (isSseError(error) && error.status === 503) this.#hub.failed(error)
      this.#answer(req, res, next, error)
    }
  }

  /** Methods that are not allowed. OPTIONS is left to Express and to `cors()`. */
  other(req: Request, res: Response, next: NextFunction, takesPost: boolean): void {
    if (req.method === 'OPTIONS') return next()
    const allow = takesPost && this.#options.publish !== undefined ? 'GET, HEAD, POST' : 'GET, HEAD'
    const detail = `${req.method} is not allowed here. Allowed: ${allow}.`
    this.#answer(req, res, next, new SseError('ERR_SSE_METHOD_NOT_ALLOWED', detail, { headers: { Allow: allow } }))
  }

  /** A path whose first segment is empty, such as `//x`: it names no channel, and no other route either. */
  readonly unnamed: Handler = (req, res, next) => {
    if (!req.path.startsWith('//')) return next()
    this.#answer(req, res, next, new SseError('ERR_SSE_CHANNEL_NAME', 'The path has an empty channel name.'))
  }

  /** A path whose percent-encoding cannot be decoded. Express marks the error; a URIError of a hook has no status. */
  readonly undecodable: ErrorRequestHandler = (error, req, res, next) => {
    if (!(error instanceof URIError) || clientStatusOf(error) !== 400) return next(error)
    this.#answer(req, res, next, new SseError('ERR_SSE_CHANNEL_NAME', 'The path cannot be decoded as a channel name.'))
  }

  /** Over HTTP a pattern may be asked for, if the router serves it; a name that the application computes is a name. */
  readonly #parse = (name: unknown): string =>
    this.#served === undefined ? parseChannelName(name) : parseChannelOrPattern(name)

  #assertServed(name: string): void {
    if (this.#served === undefined || this.#served.some((entry) => covers(entry, name))) return
    throw new SseError('ERR_SSE_CHANNEL_UNKNOWN', `There is no channel ${name} here (option channels of the router).`)
  }

  /** What the hook says of the request. Throws a refusal as SseError, a failure as it is. */
  async #admit(req: Request, names: readonly string[]): Promise<{ until?: number; info?: unknown }> {
    const admitted = await this.#ask(req, names).catch((error) => {
      throw asRefusal(error, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
    })
    if (admitted !== undefined) return admitted
    throw new SseError('ERR_SSE_SUBSCRIBE_FORBIDDEN', `You may not subscribe to ${names.join(', ')}.`)
  }

  /** Undefined when the hook refuses. Rejects with what it throws. */
  async #ask(req: Request, names: readonly string[]): Promise<{ until?: number; info?: unknown } | undefined> {
    const { subscribe } = this.#options
    if (subscribe === undefined || subscribe === 'anyone') return {}
    const { clock } = this.#hub.options
    const verdict = await answerOf(clock, () => subscribe.call(this.#options, req, names))
    const mistake = mistakeIn(verdict)
    if (mistake === undefined) return admittedBy(verdict, clock)
    // A mistake allows nothing, and the operator learns of it.
    this.#hub.failed(mistake)
    return undefined
  }

  /** The hook for one channel that a pattern stands for. It runs in the async context of its request. */
  #authorize(req: Request): Authorize {
    return inThisContext(async (channel: string) => {
      try {
        const admitted = await this.#ask(req, [channel])
        return { allowed: admitted !== undefined, until: admitted?.until }
      } catch (error) {
        if (clientStatusOf(error) !== undefined) return { allowed: false }
        throw error
      }
    })
  }

  async #assertMayPublish(req: Request, channel: string): Promise<void> {
    const { publish } = this.#options
    if (publish === undefined) {
      throw new SseError('ERR_SSE_PUBLISH_CLOSED', 'Publishing is closed here: the router has no option publish.')
    }
    assertSameSite(req, this.#allowedOrigins)
    if (publish === 'anyone') return
    let allowed: unknown
    try {
      allowed = await answerOf(this.#hub.options.clock, () => publish.call(this.#options, req, channel))
    } catch (error) {
      throw asRefusal(error, 'ERR_SSE_PUBLISH_FORBIDDEN')
    }
    if (allowed !== true) throw new SseError('ERR_SSE_PUBLISH_FORBIDDEN', `You may not publish to ${channel}.`)
  }

  #failedGet(req: Request, res: Response, next: NextFunction, error: unknown, retryMs: number): void {
    if (clientStatusOf(error) !== undefined) return this.#answer(req, res, next, error)
    // A failure is not a refusal: its status of 500 would end an EventSource permanently.
    this.#hub.failed(error)
    if (!isUnanswered(res)) return
    const overload = new SseError('ERR_SSE_OVERLOADED', 'The request could not be decided on: come back later.')
    this.#refused(req, overload)
    sendOverload(res, retryMs, overload)
  }

  #answer(req: Request, res: Response, next: NextFunction, error: unknown): void {
    dropBody(req)
    if (isSseError(error)) {
      if (!isUnanswered(res)) return
      this.#refused(req, error)
      try {
        return sendProblem(res, error)
      } catch (unsendable) {
        // A header that an error of the application brings and that cannot be sent.
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

/** Whether the response is still this router's to write: nothing else has answered, and the client is there. */
function isUnanswered(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed
}

function hasUnreadBody(req: Request): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  return (coding !== undefined || (length !== undefined && length !== '0')) && !req.readableDidRead
}

/**
 * Express keeps the state of its routing, of this router and of every one around it, for as long as there is the request:
 * nearly 2 KiB. Once a stream is open nothing comes next.
 */
function letRoutingGo(req: Request): void {
  req.next = nothingIsNext
}

function nothingIsNext(): void {}

/** The hook for channels of a pattern that is added when the request is no longer there to ask about. */
const denied: Authorize = async () => ({ allowed: false })

/** What `res.json` does, without hashing for an ETag, which is for answers that are asked for again. In one write. */
function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  const head = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) }
  res.writeHead(status, head).end(body)
}

function parseServed(channels: unknown): readonly string[] {
  if (!Array.isArray(channels) || channels.length === 0) {
    throw new TypeError('Option `channels` must be an array of at least one channel name or pattern.')
  }
  return channels.map((name) => {
    try {
      return parseChannelOrPattern(name)
    } catch (error) {
      throw new TypeError(`Option \`channels\`: ${(error as SseError).detail}`)
    }
  })
}

function parseOrigins(origins: unknown): readonly string[] {
  if (origins === undefined) return []
  if (Array.isArray(origins) && origins.every((o) => o === 'null' || (URL.canParse(o) && new URL(o).origin === o))) {
    return origins
  }
  throw new TypeError(
    "Option `allowedOrigins` must be an array of origins, such as 'https://admin.example.org', or 'null'.",
  )
}

function parseRewind(values: readonly string[]): number {
  if (values.length === 0) return 0
  if (values.length === 1 && /^\d+$/.test(values[0]!)) return Math.min(Number(values[0]), 1_000)
  throw new SseError('ERR_SSE_REWIND', 'rewind must be a number of events, in digits: above 1000 means 1000.')
}
