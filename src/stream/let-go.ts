import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

// Node keeps a parser, a request and a response for every connection, and they hold each other: nearly 20 KiB with those
// of Express. A stream that only writes needs none of them. Here they are let go of while the connection stays: Node's own
// listeners are taken off the socket, the parser goes back to where Node has it from, and who comes back to the response
// finds it joined to its socket again.
//
// This relies on names inside Node. So everything that it relies on is looked at first, and where anything is other than
// expected nothing is touched: the stream is the ordinary one. Only what Node itself does with a connection that it lets
// go of (an upgrade, the end of a response) is done here, by Node's own functions.

/** The listeners that Node has on the socket of a server connection. There is exactly one of each while it serves it. */
const OF_NODE = [
  // Not called while the parser reads the socket by itself, and the reason why the socket flows.
  ['data', 'bound socketOnData'],
  // The peer has sent its FIN: ends our side. Replaced by `endToo`.
  ['end', 'bound socketOnEnd'],
  // Frees the parser, and aborts requests that have not closed. Called here, once, because it is the way to free it.
  ['close', 'bound socketOnClose'],
  // 'drain' of the response. Kept with the response for when somebody comes back to it.
  ['drain', 'bound socketOnDrain'],
  // 'clientError', then destroys. Replaced by `ignore`: the socket destroys itself.
  ['error', 'socketOnError'],
  // `server.timeout`. It goes with the timer.
  ['timeout', 'socketOnTimeout'],
  // These start and stop the reading of the parser.
  ['resume', 'onSocketResume'],
  ['pause', 'onSocketPause'],
  // 'close' of the response. `assignSocket` puts it on again.
  ['close', 'onServerResponseClose'],
] as const

/** What a response is used through, and nobody has replaced: a session, say, wraps `end` to be told of the end. */
const METHODS = [
  'on',
  'addListener',
  'once',
  'prependListener',
  'prependOnceListener',
  'write',
  'end',
  'destroy',
  'setTimeout',
] as const
type Method = (...args: unknown[]) => unknown
type Methods = Record<(typeof METHODS)[number], Method>
const own = ServerResponse.prototype as unknown as Methods
/** As they were when this module was loaded. */
const methods = new Map(METHODS.map((name) => [name, own[name]]))

/** Bytes that a peer may send on a connection of which nothing is read any more. */
const MAX_SURPLUS = 4_096
/** How long a peer may take to end its side once we have ended ours. Node's keep-alive timeout would have done this. */
const HANG_UP_MS = 5_000

/** Node's listener for 'drain', on a response that was let go of. */
const DRAIN = Symbol('express-sse-hub.drain')

type Listener = (...args: unknown[]) => void
type Connection = Socket & { parser?: { incoming?: unknown } | null; _httpMessage?: unknown }
type Response = ServerResponse & { [DRAIN]?: Listener | undefined }
/** Node's listeners by name, of a connection that can be let go. */
type Found = Map<string, readonly [event: string, listener: Listener]>

/** Whether this Node is as expected; undefined until the first connection has told. */
let isKnown: boolean | undefined

/**
 * Lets go of the parser and the request of this response, and of the response, in a later turn; calls `done` when that
 * has happened. It does not happen, and nothing is said, where somebody else has a use for any of them. `onClose` is the
 * one listener for the 'close' of the response, and there is one for 'prefinish'. To be called only for a response that
 * is bare (see `isBareChunked`), whose head is out.
 */
export function letGo(res: ServerResponse, onClose: () => void, done: () => void): void {
  // Not now: the native parser is still on the stack. And what a handler does after this call is to be seen, too.
  if (isKnown !== false) setImmediate(consume, res, onClose, done)
}

/**
 * A request that was read to its end closes by itself, and hears of nothing afterwards. One that nobody has read would
 * close with the socket, as aborted: so it is read, where there is nothing in it and nobody listens.
 */
function consume(res: ServerResponse, onClose: () => void, done: () => void): void {
  if (survey(res, onClose) === undefined) return
  if (!res.req.closed) res.req.resume()
  setImmediate(take, res, onClose, done)
}

function take(res: Response, onClose: () => void, done: () => void): void {
  // Again, because a turn has passed.
  const found = survey(res, onClose)
  if (found === undefined || !res.req.closed) return
  const socket = res.req.socket as Connection
  res.detachSocket(socket)
  // One by one, because others have listeners there as well.
  for (const [event, listener] of found.values()) socket.removeListener(event, listener)
  found.get('bound socketOnClose')![1].call(socket)
  if (socket.parser != null) warn('the parser was not freed')
  res[DRAIN] = found.get('bound socketOnDrain')![1]
  Object.setPrototypeOf(res, joining(Object.getPrototypeOf(res)))
  socket.setTimeout(0)
  // Without a parser the first call of `on` undoes what Node has put over `on` itself. The same functions for every
  // connection: one made here would hold the response.
  socket.on('data', countSurplus).on('end', endToo).on('error', ignore)
  done()
}

/** Whether nobody but Node and this library has anything to do with request and response: Node's listeners then. */
function survey(res: ServerResponse, onClose: () => void): Found | undefined {
  const { req } = res
  const socket = req.socket as Connection
  const { parser } = socket
  if (
    // The response is under way, on its own socket, with nothing held back in it.
    res.socket !== socket ||
    socket._httpMessage !== res ||
    res.writableEnded ||
    res.destroyed ||
    res.writableCorked > 0 ||
    res.writableLength !== socket.writableLength ||
    METHODS.some((name) => (res as unknown as Methods)[name] !== methods.get(name)) ||
    // Who waits for its end or its drain (access logs, sessions, tracing) keeps it: by count, so that nothing is missed.
    res.eventNames().length !== 3 ||
    res.listenerCount('prefinish') !== 1 ||
    !isOnly(res.listeners('close'), onClose) ||
    res.listenerCount('finish') !== 1 ||
    // The request is here as a whole, nobody is going to read it, and nobody waits for it.
    !req.complete ||
    req.readableLength > 0 ||
    (!req.closed && req.eventNames().length > 0) ||
    // The connection stands, and flows: a further request of a pipeline may have stopped it.
    !socket.writable ||
    !socket.readable ||
    socket.readableFlowing !== true ||
    socket.readableLength > 0 ||
    // Nobody else reads it or has set its timer.
    socket.listenerCount('data') > 1 ||
    socket.listenerCount('timeout') > 1
  ) {
    return undefined
  }
  const found: Found = new Map()
  let isUnique = true
  for (const [event, name] of OF_NODE) {
    const [listener, another] = socket.listeners(event).filter((listener) => listener.name === name)
    if (listener === undefined) return unexpected(`no listener ${name}`)
    if (another !== undefined) isUnique = false
    found.set(name, [event, listener as Listener])
  }
  if (res.listeners('finish')[0]!.name !== 'bound resOnFinish') return unexpected('no listener bound resOnFinish')
  if (typeof parser !== 'object' || parser?.incoming === undefined) return unexpected('no parser')
  isKnown = true
  // A parser that is at another request, of the same packet, is needed.
  if (!isUnique || (parser.incoming !== null && parser.incoming !== req)) return undefined
  return found
}

/** The first connection tells whether this Node is known. Later on it is that connection that is odd. */
function unexpected(what: string): undefined {
  if (isKnown === undefined) warn(what)
}

function warn(what: string): void {
  isKnown = false
  process.emitWarning(`letGo is off: Node ${process.version} serves a connection in another way (${what}).`, {
    type: 'ExpressSseHubWarning',
    code: 'ERR_SSE_LET_GO',
  })
}

const joinings = new WeakMap<object, object>()

/** A prototype over that of a response, whose methods join the response to its socket first; the same for all of one kind. */
function joining(prototype: object): object {
  let over = joinings.get(prototype)
  if (over === undefined) {
    over = Object.create(prototype) as object
    for (const name of METHODS) {
      const value = function (this: ServerResponse, ...args: unknown[]): unknown {
        join(this)
        return Reflect.apply((this as unknown as Methods)[name], this, args)
      }
      Object.defineProperty(over, name, { configurable: true, writable: true, value })
    }
    joinings.set(prototype, over)
  }
  return over
}

/** Joins a response that was let go of to its socket again, for good. Returns whether it was let go of. */
export function join(res: Response): boolean {
  const drain = res[DRAIN]
  if (drain === undefined) return false
  res[DRAIN] = undefined
  const over = Object.getPrototypeOf(res) as object
  const prototype = Object.getPrototypeOf(over) as object
  // An Express application that is mounted in another gives responses back with the prototype they came with.
  if (joinings.get(prototype) === over) Object.setPrototypeOf(res, prototype)
  const { socket } = res.req
  res.assignSocket(socket)
  socket.on('drain', drain)
  res.on('finish', finished)
  return true
}

/** Tells a response that was let go of, and that somebody may still have, that its socket has closed. */
export function settle(res: ServerResponse): void {
  if (!join(res)) return
  const { socket } = res.req
  for (const listener of socket.listeners('close')) {
    if (listener.name === 'onServerResponseClose') Reflect.apply(listener, socket, [])
  }
}

/** Ends a connection on which no request can follow, at the latest when its peer has been silent for a while. */
export function hangUp(socket: Socket): void {
  socket.end()
  socket.setTimeout(HANG_UP_MS, () => socket.destroy())
}

function finished(this: ServerResponse): void {
  hangUp(this.req.socket)
}

const surplus = new WeakMap<Socket, number>()

/** Reading goes on, because the end of the peer would not be seen without. An ordinary connection would parse these bytes. */
function countSurplus(this: Socket, bytes: Buffer): void {
  const sum = (surplus.get(this) ?? 0) + bytes.length
  surplus.set(this, sum)
  if (sum > MAX_SURPLUS) this.destroy()
}

function endToo(this: Socket): void {
  this.end()
}

function ignore(): void {}

function isOnly(listeners: readonly unknown[], listener: unknown): boolean {
  return listeners.length === 1 && listeners[0] === listener
}
