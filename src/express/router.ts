import type { ServerResponse } from 'node:http'
import express, { type ErrorRequestHandler, type NextFunction, type Request, type Response, type Router } from 'express'
import { covers, isPattern, parseChannelName, parseChannelOrPattern } from '../channel-name.ts'
import { isSseError, SseError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { resolveSseOptions } from '../stream/options.ts'
import { dropBody, hasUnreadBody } from './body.ts'
import { answerOf, clientStatusOf } from './hooks.ts'
import { JsonReads, prefersJson } from './json-read.ts'
import { streamOf } from './middleware.ts'
import { denied, Permissions } from './permissions.ts'
import { inTurn } from './pipeline.ts'
import { PublishReader } from './publish-request.ts'
import { queryValues } from './query.ts'
import { isUnanswered, Refusals } from './refusals.ts'
import { type ResolvedRouterOptions, type RouterOptions, resolveRouterOptions } from './router-options.ts'
import { requestedSnapshot, serveSubscription } from './subscribe.ts'

type Handler = (req: Request, res: Response, next: NextFunction) => void

/** The routes of a hub: GET subscribes, POST publishes. Throws a TypeError that names an invalid option. */
export function hubRouter(hub: Hub, given: RouterOptions): Router {
  const options = resolveRouterOptions(given)
  const routes = new Routes(hub, options)
  const router = express.Router({ mergeParams: true })
  const { channel } = options.given
  router.use(inTurn)
  if (channel === undefined) {
    // The most frequent route comes first.
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
      settled(routes.post, (req) => channel.call(options.given, req)),
    )
    router.get(
      '/',
      settled(routes.get, async (req) => [await channel.call(options.given, req)]),
    )
    router.all('/', (req, res, next) => routes.other(req, res, next, true))
  }
  router.use(routes.unnamed, routes.undecodable)
  return router
}

/** Express 4 ignores the promise of a route: this passes its rejection to `next`. */
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
  readonly #options: ResolvedRouterOptions
  readonly #permissions: Permissions
  readonly #refusals: Refusals
  readonly #reader: PublishReader
  readonly #jsonReads: JsonReads
  readonly #streamOptions

  constructor(hub: Hub, options: ResolvedRouterOptions) {
    this.#hub = hub
    this.#options = options
    this.#permissions = new Permissions(hub, options)
    this.#refusals = new Refusals(hub)
    this.#jsonReads = new JsonReads(hub, this.#permissions, this.#refusals)
    const { clock, maxEventBytes } = hub.options
    const { maxBodyBytes, bodyTimeoutMs, letGo } = options
    this.#reader = new PublishReader({ maxBytes: maxBodyBytes, timeoutMs: bodyTimeoutMs, clock }, maxEventBytes)
    this.#streamOptions = resolveSseOptions({ clock, letGo })
  }

  readonly get = async (
    req: Request,
    res: Response,
    next: NextFunction,
    asked: (req: Request) => string[] | Promise<string[]>,
  ): Promise<void> => {
    res.vary('Accept')
    if (prefersJson(req)) return this.#jsonReads.serve(req, res, next, () => this.#names(req, asked))
    const stream = streamOf(req, res, this.#streamOptions)
    const admission = this.#hub.admissions.begin()
    try {
      if (!stream.accepted) {
        throw new SseError('ERR_SSE_NOT_ACCEPTABLE', 'A channel is an event stream; Accept excludes text/event-stream.')
      }
      const names = await this.#names(req, asked)
      const rewind = parseRewind(queryValues(req, 'rewind', 'ERR_SSE_REWIND'))
      const envelope = queryValues(req, 'envelope', 'ERR_SSE_CHANNEL_NAME').includes('1')
      const { until, info } = await this.#permissions.admit(req, names)
      // While a body is unread, Node does not report the end of the connection.
      if (hasUnreadBody(req)) dropBody(req)
      const { asks } = this.#permissions
      const letsGo = (this.#streamOptions.letGo || stream.options.letGo) && !(asks && names.some(isPattern))
      const authorize = asks ? (letsGo ? denied : this.#permissions.authorize(req)) : undefined
      const form = envelope ? 'envelope' : 'plain'
      const snapshot = requestedSnapshot(stream)
      const after = stream.lastEventId
      const request = { form, rewind, snapshot, info, until, authorize, admission, after } as const
      await serveSubscription(this.#hub, stream, () => names, request)
      letRoutingGo(req)
      if (letsGo) stream.letGo()
    } catch (error) {
      this.#refusals.answerStream(req, res, next, error, this.#hub.refusalRetryMs(stream))
    } finally {
      admission.end()
    }
  }

  /** The requested names, each once and served here. */
  async #names(req: Request, asked: (req: Request) => string[] | Promise<string[]>): Promise<readonly string[]> {
    const given = await answerOf(this.#hub.options.clock, () => asked(req))
    const names = [...new Set(given.map(this.#parse))]
    this.#hub.assertSelection(names)
    for (const name of names) this.#assertServed(name)
    return names
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
      await this.#permissions.assertMayPublish(req, channel)
      const { events, batch } = await this.#reader.read(req, channel)
      // A timeout of the application may have answered first: its client has read that nothing was published.
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
      this.#refusals.answer(req, res, next, error)
    }
  }

  /** Methods that are not allowed. OPTIONS is left to Express and to `cors()`. */
  other(req: Request, res: Response, next: NextFunction, takesPost: boolean): void {
    if (req.method === 'OPTIONS') return next()
    const allow = takesPost && this.#options.given.publish !== undefined ? 'GET, HEAD, POST' : 'GET, HEAD'
    const detail = `${req.method} is not allowed here. Allowed: ${allow}.`
    this.#refusals.answer(
      req,
      res,
      next,
      new SseError('ERR_SSE_METHOD_NOT_ALLOWED', detail, { headers: { Allow: allow } }),
    )
  }

  /** A path whose first segment is empty, such as `//x`: it names no channel, and matches no other route. */
  readonly unnamed: Handler = (req, res, next) => {
    if (!req.path.startsWith('//')) return next()
    this.#refusals.answer(req, res, next, new SseError('ERR_SSE_CHANNEL_NAME', 'The path has an empty channel name.'))
  }

  /** A path whose percent-encoding cannot be decoded. Express marks the error; a URIError of a hook has no status. */
  readonly undecodable: ErrorRequestHandler = (error, req, res, next) => {
    if (!(error instanceof URIError) || clientStatusOf(error) !== 400) return next(error)
    this.#refusals.answer(
      req,
      res,
      next,
      new SseError('ERR_SSE_CHANNEL_NAME', 'The path cannot be decoded as a channel name.'),
    )
  }

  /**
   * Over HTTP a client may request a pattern, if the router serves it. A name that the application computes is always a
   * name.
   */
  readonly #parse = (name: unknown): string =>
    this.#options.served === undefined ? parseChannelName(name) : parseChannelOrPattern(name)

  #assertServed(name: string): void {
    if (this.#options.served === undefined || this.#options.served.some((entry) => covers(entry, name))) return
    throw new SseError('ERR_SSE_CHANNEL_UNKNOWN', `The router does not serve a channel ${name} (option \`channels\`).`)
  }
}

/**
 * Express keeps the state of its routing, of this router and of every router around it, as long as the request exists:
 * nearly 2 KiB. After a stream has opened, `next` is no longer called.
 */
function letRoutingGo(req: Request): void {
  req.next = nothingIsNext
}

function nothingIsNext(): void {}

/** Like `res.json`, in one write and without an ETag, which is useful only for answers that a client requests again. */
function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  const head = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) }
  res.writeHead(status, head).end(body)
}

function parseRewind(values: readonly string[]): number {
  if (values.length === 0) return 0
  if (values.length === 1 && /^\d+$/.test(values[0]!)) return Math.min(Number(values[0]), 1_000)
  throw new SseError('ERR_SSE_REWIND', 'rewind must be a number of events, in digits: above 1000 means 1000.')
}
