import { MAX_DELAY_MS } from '../clock.ts'
import { backoff, retryAfter } from './backoff.ts'
import { type Block, blockReader } from './blocks.ts'
import { type ConnectionError, connectionError } from './error.ts'
import type { ConnectionEnd, ConnectionEvents } from './events.ts'
import { detailOf, type HubStream, typeOf } from './hub-block.ts'
import type { PerAttempt, SourceOptions } from './options.ts'
import { request } from './request.ts'
import { watchPage } from './wake.ts'

/** The reports of a source: the events of a connection, and changes of its position without an event. */
// biome-ignore lint/suspicious/noExplicitAny: any channel, any data
export interface SourceEvents extends Omit<ConnectionEvents<any>, 'resumed'> {
  position: object
}

/**
 * Receives the reports of a source, one after the other. `position` is the position after the report, if it has moved.
 * The source waits for the promise before its next report, and does not read during that time. The promise never
 * rejects.
 */
export type Sink = <K extends keyof SourceEvents>(type: K, detail: SourceEvents[K], position?: string) => Promise<void>

/** The source of a connection's events. */
export interface Source {
  /** The page is left (`true`), the page or the network is back (`false`), or the page is visible again. */
  wake(away?: boolean): void
  /** Drops the open connection, and connects now. */
  reconnect(): void
  /** Only `closed` is reported afterwards. */
  end(reason: ConnectionEnd['reason'], error?: ConnectionError): void
}

const HEARTBEAT_MS = 15_000
const HOUR_MS = 3_600_000

/**
 * A stream of one URL that is opened again until there is a reason to end. It starts one turn later, at the position of
 * `begin`.
 */
export function httpSource(
  url: PerAttempt<string | URL>,
  options: SourceOptions,
  begin: () => string | Promise<string>,
  sink: Sink,
): Source {
  const {
    method = options.body ? 'POST' : 'GET',
    connectTimeoutMs = HEARTBEAT_MS,
    retry: { minMs = 1_000, maxMs = 30_000, resetMs = 5_000, giveUpMs = 300_000, maxAskedMs = HOUR_MS } = {},
  } = options
  // Wall time: other clocks may stand still while the machine sleeps. It may also be stepped back.
  const time = () => Date.now()
  const isOver = (since: number, ms: number) => time() < since || time() - since >= ms
  const life = new AbortController()
  let position: string
  let failures = 0
  /** The last reconnection time from the server. */
  let serverRetryMs = 0
  let heartbeatMs = HEARTBEAT_MS
  /** When the stream of this attempt opened. */
  let openedAt: number
  let lastByteAt: number
  let hasWorked = false
  /** The time of the first answer, since the last open stream, that is usually final. */
  let refusedAt: number | undefined
  /** The data of `hub.open` in this attempt, if the stream belongs to a hub. */
  let hubStream: HubStream | undefined
  /** Whether this attempt has brought an event: then it has not failed, however short it is. */
  let hasBroughtEvent: boolean
  /** `Retry-After` of the last answer. A page that is shown again does not shorten it. */
  let retryAfterMs: number
  let hasRefreshed = false
  let isSuspended: boolean | undefined
  /** The next attempt follows at once. */
  let skipDelay: boolean
  let attempt: AbortController | undefined
  let endWait: (() => void) | undefined
  let timer: Partial<NodeJS.Timeout> | undefined

  /** One timer serves all: each wait ends that before it. 0 = no timer. A longer delay than the longest would fire at once. */
  function setTimer(ms: number, fn: () => void): void {
    clearTimeout(timer as NodeJS.Timeout)
    if (ms) timer = setTimeout(fn, Math.min(ms, MAX_DELAY_MS))
    if (options.unref) timer?.unref?.()
  }

  /** Gives the attempt up after so many ms. */
  function limitAttempt(ms: number): void {
    setTimer(ms, () => attempt!.abort(connectionError('ERR_SSE_TIMEOUT')))
  }

  function reconnect(): void {
    skipDelay = true
    attempt?.abort()
    endWait?.()
  }

  /** Whether the request may be repeated automatically. */
  function isRepeatable(): boolean {
    return !!(options.retryPost || position || /^(get|head)$/i.test(method))
  }

  function wake(away?: boolean): void {
    // A request that is sent only once has no further answers.
    if (!isRepeatable()) return
    if (away === undefined && !endWait && !isOver(lastByteAt, (heartbeatMs || HEARTBEAT_MS) + 1)) return
    const wasSuspended = isSuspended
    isSuspended = away ?? wasSuspended
    if (!retryAfterMs || away !== undefined || wasSuspended) reconnect()
  }

  function end(reason: ConnectionEnd['reason'], error?: ConnectionError): void {
    if (life.signal.aborted) return
    life.abort()
    isSuspended = false
    reconnect()
    if (error) Object.assign(error, { final: true })
    sink('closed', { reason, error })
  }

  /** Processes one block. Returns false after the last block of a stream. */
  async function take(block: Block): Promise<boolean> {
    const { id = position } = block
    const type = typeOf(block, hubStream)
    position = id
    if (type === 'finished') {
      // The server answers 204 to a client that reconnects from here.
      sink('position', {}, id)
      end(type)
    }
    if (type === 'finished' || type === 'closed') return false
    hasBroughtEvent ||= type === 'event'
    try {
      if (block.isTooLarge) throw connectionError('ERR_SSE_TOO_LARGE', { id })
      const detail = detailOf(type, block, hubStream)
      if (type === 'open') {
        hubStream = detail as unknown as HubStream
        heartbeatMs = hubStream.heartbeatIntervalMs
      }
      // An event of an ephemeral channel has no ID: the position stays.
      await sink(type as 'event', { ...detail, id } as never, block.id)
    } catch (cause) {
      const isOurs = (cause as ConnectionError)?.code === 'ERR_SSE_TOO_LARGE'
      await sink('error', isOurs ? (cause as ConnectionError) : connectionError('ERR_SSE_DATA', { id, cause }), id)
    }
    return true
  }

  /**
   * The error of a failed attempt. It is final if another attempt would be useless. A connection that has worked may
   * see a deploy.
   */
  function failureOf(cause: unknown): ConnectionError {
    const isOurs = (cause as ConnectionError)?.final !== undefined
    const error = isOurs ? (cause as ConnectionError) : connectionError('ERR_SSE_NETWORK', { cause })
    const { code, status } = error
    let final = error.final
    if (/STATUS|TYPE/.test(code) && !(status! >= 500 || /408|425|429/.test(`${status}`))) {
      refusedAt ??= time()
      final = !hasWorked || /401|403/.test(`${status}`) || isOver(refusedAt, giveUpMs)
    }
    try {
      const decided = code === 'ERR_SSE_REQUEST' ? undefined : options.shouldRetry?.({ error, hasWorked })
      return Object.assign(error, { final: decided === undefined ? final : !decided })
    } catch (cause) {
      return connectionError('ERR_SSE_REQUEST', { cause }, true)
    }
  }

  /** One request, and its stream to the end. */
  async function connectOnce(signal: AbortSignal): Promise<void> {
    const { onUnauthorized, silenceMs, maxEventBytes = 4_194_304 } = options
    limitAttempt(connectTimeoutMs)
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    // The function of an option may never settle.
    const unlessAborted = <T>(promise: T | Promise<T>) => Promise.race([promise, aborted])
    const response = await unlessAborted(request(url, { ...options, method }, position, signal))
    const { status, headers, redirected } = response
    if (status === 204) return end('finished')
    if (status !== 200) {
      retryAfterMs = Math.min(retryAfter(headers.get('retry-after'), time()), maxAskedMs)
      const mayRefresh = !hasRefreshed && /401|403/.test(`${status}`) && onUnauthorized
      if (mayRefresh && (await unlessAborted(onUnauthorized(response) as unknown)) !== false) {
        hasRefreshed = skipDelay = true
        return
      }
      throw connectionError('ERR_SSE_STATUS', { status, redirected })
    }
    // [spec] #the-eventsource-interface: the type alone decides, whatever its parameters are.
    if (!/^text\/event-stream\s*(;|$)/i.test(headers.get('content-type')!))
      throw connectionError('ERR_SSE_CONTENT_TYPE', { status, redirected })
    const reader = response.body?.getReader?.()
    if (!reader) throw connectionError('ERR_SSE_REQUEST', { cause: 'no readable body' }, true)
    hasRefreshed = false
    // A `fetch` of the application may take no notice of the signal.
    signal.addEventListener('abort', () => reader.cancel().catch(() => {}))
    hasWorked = true
    refusedAt = undefined
    openedAt = time()
    sink('state', 'open')
    const blocksOf = blockReader(maxEventBytes, (ms) => {
      serverRetryMs = Math.min(ms, maxAskedMs)
    })
    for (;;) {
      limitAttempt(silenceMs ?? 3 * heartbeatMs)
      const { done, value } = await reader.read()
      limitAttempt(0)
      signal.throwIfAborted()
      if (done) return
      lastByteAt = time()
      for (const block of blocksOf(value)) {
        signal.throwIfAborted()
        if (!(await take(block))) return
      }
    }
  }

  async function run(): Promise<void> {
    position = await begin()
    while (!life.signal.aborted) {
      attempt = new AbortController()
      skipDelay = false
      retryAfterMs = 0
      hasBroughtEvent = false
      hubStream = undefined
      lastByteAt = time()
      openedAt = Number.NaN
      sink('state', 'connecting')
      let error: ConnectionError | undefined
      try {
        await connectOnce(attempt.signal)
      } catch (cause) {
        if (!skipDelay) error = failureOf(cause)
      }
      attempt.abort()
      if (hasBroughtEvent || (openedAt && isOver(openedAt, resetMs))) failures = 0
      if (error?.final || !(skipDelay || isRepeatable())) end(error ? 'failed' : 'finished', error)
      else if (error) sink('error', error)
      const delay = Math.max(retryAfterMs, backoff(failures++, serverRetryMs, minMs, maxMs))
      if (!skipDelay || isSuspended) sink('state', 'waiting')
      while (!skipDelay || isSuspended) {
        await new Promise<void>((resolve) => {
          endWait = resolve
          setTimer(isSuspended ? 0 : delay, reconnect)
        })
        endWait = undefined
      }
      limitAttempt(0)
    }
  }

  watchPage(wake, life.signal)
  run()
  return { wake, reconnect, end }
}
