import { MAX_DELAY_MS } from '../clock.ts'
import { backoff, retryAfter } from './backoff.ts'
import { type Block, blockReader } from './blocks.ts'
import { type ConnectionError, connectionError } from './error.ts'
import type { ConnectionEnd, ConnectionEvents } from './events.ts'
import type { PerAttempt, SourceOptions } from './options.ts'
import { request } from './request.ts'
import { watchPage } from './wake.ts'

/** What a source tells: what a connection tells, and that its position has moved with nothing to show for it. */
// biome-ignore lint/suspicious/noExplicitAny: any channel, any data
export interface SourceEvents extends Omit<ConnectionEvents<any>, 'resumed'> {
  position: object
}

/**
 * Takes what a source tells, one after the other, each with the position that holds once it is taken, if it has moved.
 * The source waits for the promise before it tells the next: nothing is read meanwhile. It never rejects.
 */
export type Sink = <K extends keyof SourceEvents>(type: K, detail: SourceEvents[K], position?: string) => Promise<void>

/** Where a connection gets its events from. */
export interface Source {
  /** The page is left (`true`), is back (`false`), or somebody looks at it again. */
  wake(away?: boolean): void
  /** Drops what is open, and connects now. */
  reconnect(): void
  /** Nothing is told after it but `closed`. */
  end(reason: ConnectionEnd['reason'], error?: ConnectionError): void
}

const HEARTBEAT_MS = 15_000

/** A stream of one URL that is opened again until there is a reason not to. Begins a turn later, where `begin` says. */
export function httpSource(
  url: PerAttempt<string | URL>,
  options: SourceOptions,
  begin: () => string | Promise<string>,
  sink: Sink,
): Source {
  const {
    method = options.body ? 'POST' : 'GET',
    connectTimeoutMs = HEARTBEAT_MS,
    retry: { minMs = 1_000, maxMs = 30_000, resetMs = 5_000 } = {},
  } = options
  // Wall time: other clocks may stand still while the machine sleeps.
  const time = () => Date.now()
  const life = new AbortController()
  let position: string
  let failures = 0
  /** The reconnection time that the server asked for last. */
  let floor = 0
  let heartbeat = HEARTBEAT_MS
  let opened: number
  let lastByte: number
  /** Whether the stream is one of a hub. */
  let hub: boolean
  /** The server said how long not to be asked, whoever wakes up meanwhile. */
  let held: number
  let refreshed = false
  let suspended: boolean | undefined
  /** The next attempt follows at once. */
  let now: boolean
  let attempt: AbortController | undefined
  /** Ends the wait between two attempts. */
  let go: (() => void) | undefined
  let timer: Partial<NodeJS.Timeout> | undefined

  /** One timer serves all: each wait ends that before it. 0 = no timer. A longer delay than the longest would fire at once. */
  function arm(ms: number, fn: () => void): void {
    clearTimeout(timer as NodeJS.Timeout)
    if (ms) timer = setTimeout(fn, Math.min(ms, MAX_DELAY_MS))
    if (options.unref) timer?.unref?.()
  }

  /** Gives the attempt up after so many ms. */
  function watch(ms: number): void {
    arm(ms, () => attempt!.abort(connectionError('ERR_SSE_TIMEOUT')))
  }

  function reconnect(): void {
    now = true
    attempt?.abort()
    go?.()
  }

  function wake(away?: boolean): void {
    if (away === undefined && !go && time() - lastByte <= (heartbeat || HEARTBEAT_MS)) return
    const was = suspended
    suspended = away ?? was
    if (!held || was || suspended) reconnect()
  }

  function end(reason: ConnectionEnd['reason'], error?: ConnectionError): void {
    if (life.signal.aborted) return
    life.abort()
    suspended = false
    reconnect()
    sink('closed', { reason, error })
  }

  /** Takes one block. False: the stream has said its last. */
  async function take({ id = position, event, data }: Block): Promise<boolean> {
    const type = event?.startsWith('hub.') ? event.slice(4) : 'event'
    position = id
    if (type === 'finished') {
      // The server answers 204 to whoever comes back from here.
      sink('position', {}, id)
      end(type)
    }
    if (type === 'finished' || type === 'closed') return false
    try {
      hub ||= type === 'open'
      const value = hub ? JSON.parse(data) : { channel: '', event, data }
      if (type === 'open') heartbeat = value.heartbeatIntervalMs
      if (type === 'gap') value.gap = true
      await sink(type as 'event', { ...value, id }, id)
    } catch (cause) {
      await sink('error', connectionError('ERR_SSE_DATA', { id, cause }), id)
    }
    return true
  }

  /** One request, and its stream to the end. */
  async function once(signal: AbortSignal): Promise<void> {
    const { onUnauthorized, silenceMs, maxEventBytes = 4_194_304 } = options
    watch(connectTimeoutMs)
    const response = await Promise.race([
      request(url, { ...options, method }, position, signal),
      // What a function among the options gives may never come.
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    ])
    const { status, headers } = response
    const said = `${status}`
    if (status === 204) return end('finished')
    if (status !== 200) {
      held = retryAfter(headers.get('retry-after'), time())
      if (!refreshed && /401|403/.test(said) && onUnauthorized && (await onUnauthorized(response)) !== false) {
        refreshed = now = true
        return
      }
      throw connectionError('ERR_SSE_STATUS', { status }, status < 500 && !/408|425|429/.test(said))
    }
    // [spec] #the-eventsource-interface: the type alone decides, whatever its parameters are.
    if (!/^text\/event-stream\s*(;|$)/i.test(headers.get('content-type')!))
      throw connectionError('ERR_SSE_CONTENT_TYPE', { status }, true)
    refreshed = hub = false
    opened = time()
    sink('state', 'open')
    const reader = response.body!.getReader()
    const blocksOf = blockReader(maxEventBytes, (ms) => {
      floor = ms
    })
    for (;;) {
      watch(silenceMs ?? 3 * heartbeat)
      const { done, value } = await reader.read()
      watch(0)
      if (done) return
      lastByte = time()
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
      now = false
      held = 0
      lastByte = time()
      opened = Number.NaN
      sink('state', 'connecting')
      let error: ConnectionError | undefined
      try {
        await once(attempt.signal)
      } catch (cause) {
        error =
          (cause as ConnectionError)?.final !== undefined
            ? (cause as ConnectionError)
            : connectionError('ERR_SSE_NETWORK', { cause })
      }
      if (now) error = undefined
      attempt.abort()
      if (time() - opened >= resetMs) failures = 0
      if (error?.final || !(options.retryPost || position || now || /^(get|head)$/i.test(method)))
        end(error ? 'failed' : 'finished', error)
      else if (error) sink('error', error)
      const delay = Math.max(held, backoff(failures++, floor, minMs, maxMs))
      if (!now || suspended) sink('state', 'waiting')
      while (!now || suspended) {
        await new Promise<void>((resolve) => {
          go = resolve
          arm(suspended ? 0 : delay, reconnect)
        })
        go = undefined
      }
      watch(0)
    }
  }

  watchPage(wake, life.signal)
  run()
  return { wake, reconnect, end }
}
