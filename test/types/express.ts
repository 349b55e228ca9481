// How the library meets the types of Express, of either major. Compiled, never run: test/types.test.ts.

import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express'
import {
  ChannelHub,
  type ChannelRouterOptions,
  type CloseReason,
  type EventStream,
  eventStream,
  isSseError,
  pattern,
  problemHandler,
  type RouterOptions,
  type SendOptions,
  type SseErrorCode,
  type SseOptions,
  type StreamOptions,
  type Subscription,
  sse,
} from '../../src/index.ts'
import { manualClock, openStream } from '../../src/testing/index.ts'
import { type Equal, expectType } from './expect.ts'

const app = express()
const hub = new ChannelHub()
const router = express.Router()

// -- the middleware fits wherever a handler does

app.use(sse())
app.use('/deep', sse({ heartbeatIntervalMs: 5_000 }))
router.use(sse())
app.get('/one', sse({ retryMs: undefined }), (_req, res) => void res.sse.send(1))
sse() satisfies RequestHandler
app.use(problemHandler())

// -- res.sse on every response, whatever the handler's own types

app.get('/clock', (req, res) => {
  expectType<Equal<typeof res.sse, EventStream>>(true)
  res.sse.open().send({ now: 1 }, { event: req.get('x-event'), id: req.get('x-id') })
  res.sse.closed.then((reason) => expectType<Equal<typeof reason, CloseReason>>(true))
  // @ts-expect-error it is not to be replaced
  res.sse = eventStream(req, res)
})
app.get('/users/:userId', (req: Request<{ userId: string }>, res: Response<{ ok: boolean }, { user: string }>) => {
  res.sse.comment(req.params.userId)
})
function middleware(_req: Request, res: Response, next: NextFunction): void {
  if (res.sse.accepted) next()
}
app.use(middleware)
eventStream({} as IncomingMessage, {} as ServerResponse).send('text')

// -- what belongs to the hub is out of reach in the published types; here, from the sources, it is not tested

// -- stream(): what `each` gets

app.post('/answer', async (req, res) => {
  const { sent, reason } = await res.sse.stream(tokens(res.sse.signal), {
    each: (token, stream) => {
      expectType<Equal<typeof token, { text: string }>>(true)
      stream.send(token.text, { event: 'token' })
    },
    done: '[DONE]',
    onError: () => req.get('x-apology'),
    end: undefined,
  })
  sent satisfies number
  reason satisfies 'done' | 'closed' | 'failed'
  await res.sse.stream(bytes, { each: (text) => expectType<Equal<typeof text, string>>(true) })
  const { body } = await fetch('http://localhost/')
  if (body !== null) await res.sse.stream(body)
  await res.sse.stream(['a', 'b'])
  await res.sse.stream(Promise.resolve([1, 2]))
  // @ts-expect-error a number is not a source
  await res.sse.stream(5)
})
declare const bytes: ReadableStream<Uint8Array>
async function* tokens(_signal: AbortSignal): AsyncGenerator<{ text: string }> {}

// -- routers, mounted where routers are

app.use('/channels', hub.router({ channels: ['news', 'price.*'] }))
app.use('/news', hub.channel('news').router())
app.use(
  '/users/:userId/events',
  hub.router({ channel: (req: Request<{ userId: string }>) => `user.${req.params.userId}` }),
)
router.use('/channels', hub.router({ channels: ['>'], publish: 'anyone', subscribe: 'anyone' }))

// A hook may require a property that an earlier middleware has put on the request.
interface UserRequest extends Request {
  user: { id: string; editor: boolean }
}
const isEditor = (req: UserRequest) => req.user.editor
const mayRead = async (req: UserRequest, channels: readonly string[]) =>
  channels.every((channel) => channel === `user.${req.user.id}`) && { until: new Date(), info: req.user.id }
app.use('/a', hub.router({ channels: ['user.*'], publish: isEditor, subscribe: mayRead }))
app.use('/b', hub.router({ channel: async (req: UserRequest) => `user.${req.user.id}` }))
app.use('/c', hub.channel('news').router({ publish: isEditor }))
// @ts-expect-error a middleware by mistake: it answers by `next`
hub.router({ channels: ['news'], publish: (_req: Request, _res: Response, next: NextFunction) => next() })
// @ts-expect-error a user is not a verdict
hub.router({ channels: ['news'], publish: (req: UserRequest) => req.user })
// @ts-expect-error only 'anyone'
hub.router({ channels: ['news'], publish: 'everyone' })

app.get('/me/:id', async (req, res) => {
  const subscription = await hub.subscribe(res.sse, `user.${req.params.id}`, {
    after: req.get('x-after'),
    rewind: undefined,
    info: req.ip,
  })
  expectType<Equal<typeof subscription, Subscription>>(true)
  subscription.state satisfies 'replaying' | 'live' | 'lagging' | 'closed'
  await subscription.add(['a', pattern('b.*')])
})
app.get('/publish', (req, res, next) => {
  hub
    .publish('news', 1, { event: req.get('x-event'), idempotencyKey: req.get('idempotency-key') })
    .then(({ id, localSubscribers }) => res.json({ id, localSubscribers }))
    .catch(next)
})

// -- with exactOptionalPropertyTypes every optional property takes undefined

const undefinedOptions: [SseOptions, SendOptions, Omit<RouterOptions, 'channel'>, ChannelRouterOptions] = [
  { heartbeatIntervalMs: undefined, retryMs: undefined, maxBufferedBytes: undefined, maxLifetimeMs: undefined },
  { event: undefined, id: undefined, retry: undefined, encoding: undefined },
  { channels: undefined, subscribe: undefined, publish: undefined, allowedOrigins: undefined },
  { maxBodyBytes: undefined },
]
undefinedOptions.length
const sseOptions: SseOptions = { onError: undefined, clock: undefined }
const streamOptions: StreamOptions<string> = { each: undefined, done: undefined, onError: undefined, end: undefined }
streamOptions.end satisfies boolean | undefined
sse(sseOptions)
new ChannelHub({ broker: undefined, slowSubscriber: undefined, maxStreams: undefined, clock: undefined })
hub.close({ timeoutMs: undefined, retryMs: undefined })
hub.events('a', { after: undefined, rewind: undefined, signal: undefined })

// -- events of the hub, errors

const off: () => void = hub.on('gap', (subscription, gap) => {
  subscription.info satisfies unknown
  gap.reason satisfies 'trimmed' | 'diverged' | 'unknown-epoch' | 'bad-cursor'
})
off()
hub.on('refused', ({ req, code, status }) => {
  code satisfies SseErrorCode
  status satisfies number
  req satisfies IncomingMessage
})
hub.on('error', (error, { channel }) => {
  channel satisfies string | undefined
  if (isSseError(error)) error.code satisfies SseErrorCode
})
// @ts-expect-error no such event
hub.on('subscribed', () => {})
hub.disconnect(({ info }) => info === 'u1') satisfies number

// -- the testing kit

const clock = manualClock()
app.use(sse({ clock }))
await using stream = await openStream(app, '/clock')
;(await stream.next({ type: 'tick' })).json<{ now: number }>().now satisfies number
