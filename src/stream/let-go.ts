import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

// Node keeps a parser, a request and a response for every connection, and they reference each other: nearly 20 KiB
// including Express's own data. A stream that only writes needs none of them. This module releases them while the
// connection stays: it removes Node's own listeners from the socket, and returns the parser to Node's pool. Code that
// uses the response later finds it joined to its socket again.
//
// This relies on names inside Node, so all of them are checked first. If anything differs from the expectation, nothing
// is changed and the stream is ordinary. The module does only the steps that Node itself does with a connection that it
// releases (an upgrade, the end of a response), with Node's own functions.

/** The listeners of Node on the socket of a server connection. There is exactly one of each while Node serves it. */
const OF_NODE = [
  // Not called while the parser reads the socket itself, but the reason why the socket flows.
  ['data', 'bound socketOnData'],
  // The peer has sent its FIN: ends our side. Replaced by `endToo`.
  ['end', 'bound socketOnEnd'],
  // Frees the parser, and aborts requests that have not closed. Called once, here, because only this call frees the
  // parser.
  ['close', 'bound socketOnClose'],
  // 'drain' of the response. Kept with the response, for code that uses it later.
  ['drain', 'bound socketOnDrain'],
  // 'clientError', then destroys. Replaced by `ignore`: the socket destroys itself.
  ['error', 'socketOnError'],
  // `server.timeout`. Removed together with the timer.
  ['timeout', 'socketOnTimeout'],
  // These start and stop the reading of the parser.
  ['resume', 'onSocketResume'],
  ['pause', 'onSocketPause'],
  // 'close' of the response. `assignSocket` adds it again.
  ['close', 'onServerResponseClose'],
] as const

/**
 * The methods of a response. If other code has replaced one, it uses the response: a session, for example, wraps `end`.
 */
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
/** The methods at the time when this module was loaded. */
const methods = new Map(METHODS.map((name) => [name, own[name]]))

/** Bytes that a peer may send on a connection that is no longer read. */
const MAX_SURPLUS = 4_096
/**
 * The time that a peer has to end its side after we have ended ours. Node's keep-alive timeout would have limited it.
 */
const HANG_UP_MS = 5_000

/** Node's listener for 'drain', on a response that was let go. */
const DRAIN = Symbol('express-sse-hub.drain')

type Listener = (...args: unknown[]) => void
type Connection = Socket & { parser?: { incoming?: unknown } | null; _httpMessage?: unknown }
type Response = ServerResponse & { [DRAIN]?: Listener | undefined }
/** Node's listeners by name, of a connection that can be let go. */
type Found = Map<string, readonly [event: string, listener: Listener]>

/** Whether this version of Node is as expected; undefined until the first connection has shown it. */
let isKnown: boolean | undefined

/**
 * Releases the parser and the request of this response, and the response, in a later turn, and then calls `done`. If
 * other code still uses one of them, nothing happens, silently. `onClose` is the only listener for 'close' of the
 * response, and there is one for 'prefinish'. Call it only for a bare response (see `isBareChunked`) whose head is
 * sent.
 */
export function letGo(res: ServerResponse, onClose: () => void, done: () => void): void {
  // Not at once: the native parser is still on the stack, and listeners that the handler adds after this call count
  // too.
  if (isKnown !== false) setImmediate(consume, res, onClose, done)
}

/**
 * A request that was read completely closes on its own, and gets no further events. An unread request would close with
 * the socket, as aborted. So this reads it, if it has no body and no listeners.
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
  // One by one, because other code has listeners there as well.
  for (const [event, listener] of found.values()) socket.removeListener(event, listener)
  found.get('bound socketOnClose')![1].call(socket)
  if (socket.parser != null) warn('the parser was not freed')
  res[DRAIN] = found.get('bound socketOnDrain')![1]
  Object.setPrototypeOf(res, joining(Object.getPrototypeOf(res)))
  socket.setTimeout(0)
  // Without a parser, the first call of `on` undoes Node's replacement of `on`. All connections share the same
  // functions: one that is made here would keep the response in memory.
  socket.on('data', countSurplus).on('end', endToo).on('error', ignore)
  done()
}

/** Node's listeners, if only Node and this library use the request and the response; otherwise undefined. */
function survey(res: ServerResponse, onClose: () => void): Found | undefined {
  const { req } = res
  const socket = req.socket as Connection
  const { parser } = socket
  if (
    // The response has started, on its own socket, and holds nothing back.
    res.socket !== socket ||
    socket._httpMessage !== res ||
    res.writableEnded ||
    res.destroyed ||
    res.writableCorked > 0 ||
    res.writableLength !== socket.writableLength ||
    METHODS.some((name) => (res as unknown as Methods)[name] !== methods.get(name)) ||
    // Code that waits for its end or its drain (access logs, sessions, tracing) keeps it. Counted, so that no listener
    // is overlooked.
    res.eventNames().length !== 3 ||
    res.listenerCount('prefinish') !== 1 ||
    !isOnly(res.listeners('close'), onClose) ||
    res.listenerCount('finish') !== 1 ||
    // The request has arrived completely, and no code reads it or waits for it.
    !req.complete ||
    req.readableLength > 0 ||
    (!req.closed && req.eventNames().length > 0) ||
    // The connection is open and flows: a further request of a pipeline may have stopped it.
    !socket.writable ||
    !socket.readable ||
    socket.readableFlowing !== true ||
    socket.readableLength > 0 ||
    // No other code reads the socket or has set its timer.
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
  // A parser that already reads another request, from the same packet, is needed.
  if (!isUnique || (parser.incoming !== null && parser.incoming !== req)) return undefined
  return found
}

/**
 * The first connection shows whether this version of Node is known. After that, a difference concerns only its
 * connection.
 */
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

/**
 * A prototype over that of a response, whose methods first join the response to its socket. Shared by all responses of
 * a kind.
 */
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

/** Joins a response that was let go to its socket again, permanently. Returns whether it was let go. */
export function join(res: Response): boolean {
  const drain = res[DRAIN]
  if (drain === undefined) return false
  res[DRAIN] = undefined
  const over = Object.getPrototypeOf(res) as object
  const prototype = Object.getPrototypeOf(over) as object
  // An Express application that is mounted in another one restores the earlier prototype of a response.
  if (joinings.get(prototype) === over) Object.setPrototypeOf(res, prototype)
  const { socket } = res.req
  res.assignSocket(socket)
  socket.on('drain', drain)
  res.on('finish', finished)
  return true
}

/** Closes a response that was let go and that other code may still have, after its socket has closed. */
export function settle(res: ServerResponse): void {
  if (!join(res)) return
  const { socket } = res.req
  for (const listener of socket.listeners('close')) {
    if (listener.name === 'onServerResponseClose') Reflect.apply(listener, socket, [])
  }
}

/** Ends a connection on which no request can follow, at the latest after its peer has been silent for a while. */
export function hangUp(socket: Socket): void {
  socket.end()
  socket.setTimeout(HANG_UP_MS, () => socket.destroy())
}

function finished(this: ServerResponse): void {
  hangUp(this.req.socket)
}

const surplus = new WeakMap<Socket, number>()

/**
 * The socket continues to be read, because otherwise the end of the peer would not be noticed. An ordinary connection
 * would parse these bytes.
 */
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
