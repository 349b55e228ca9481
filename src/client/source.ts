import { backoff, retryAfter } from './backoff.ts'
import { type Block, blockReader } from './blocks.ts'
import { clientClock } from './clock.ts'
import { ConnectionError } from './error.ts'
import type { ConnectionEnd, ConnectionEvents } from './events.ts'
import type { PerAttempt, SourceOptions } from './options.ts'
import { requestOf } from './request.ts'
import { watchPage } from './wake.ts'

/** What a source tells, besides what a connection tells: that its position has moved with nothing to show for it. */
// biome-ignore lint/suspicious/noExplicitAny: any channel, any data
export interface SourceEvents extends Omit<ConnectionEvents<any>, 'resumed'> {
  position: undefined
}

/**
 * Takes what a source tells, one after the other, each with the position that holds once it is taken. A promise asks
 * the source to wait: nothing is read until it resolves.
 */
export type Sink = <K extends keyof SourceEvents>(
  type: K,
  detail: SourceEvents[K],
  position: string,
) => Promise<unknown> | undefined

/** Where a connection gets its events from. */
export interface Source {
  /** Requests so far. */
  readonly attempts: number
  /** Looks whether the stream is alive; does not wait any longer if it is not. */
  check(): void
  /** Drops what is open, and connects now. */
  reconnect(): void
  /** Nothing is told after it but `closed`. */
  end(reason: ConnectionEnd['reason'], error?: ConnectionError): void
}

const HEARTBEAT_MS = 15_000

/** A stream of one URL that is opened again until there is a reason not to. */
export function httpSource(
  url: PerAttempt<string | URL>,
  options: SourceOptions,
  position: string,
  sink: Sink,
): Source {
  const {
    clock = clientClock(options.unref),
    connectTimeoutMs = HEARTBEAT_MS,
    maxEventBytes = 4_194_304,
    retry: { minMs = 1_000, maxMs = 30_000, resetMs = 5_000 } = {},
  } = options
  const page = watchPage({ check, resume, suspend })
  let attempts = 0
  let failures = 0
  let ended = false
  /** The reconnection time that the server asked for last. */
  let floor = 0
  let heartbeat: number | undefined
  /** Wall time of the last byte: other clocks may stand still while the machine sleeps. */
  let lastByte: number
  /** Not to be asked again before it says so itself, whoever wakes up meanwhile. */
  let held = 0
  let refreshed = false
  let suspended = false
  /** The next attempt follows at once. */
  let now = false
  let attempt: AbortController
  /** Ends the wait between two attempts. */
  let go: (() => void) | undefined
  let timer: unknown

  function arm(ms: number, fn: () => void): void {
    clock.clearTimeout(timer)
    if (ms) timer = clock.setTimeout(fn, ms)
  }

  /** Gives the attempt up after so many ms; 0 = does not. */
  function watch(ms: number, what: string): void {
    arm(ms, () => attempt.abort(new ConnectionError('ERR_SSE_TIMEOUT', `${what} for ${ms} ms.`)))
  }

  function reconnect(): void {
    now = true
    attempt?.abort()
    go?.()
  }

  function check(): void {
    if (go ? !held : clock.now() - lastByte > (heartbeat || HEARTBEAT_MS)) reconnect()
  }

  function resume(): void {
    suspended = false
    if (!held) reconnect()
  }

  function suspend(): void {
    suspended = true
    reconnect()
  }

  function end(reason: ConnectionEnd['reason'], error?: ConnectionError): void {
    if (ended) return
    ended = true
    page()
    arm(0, reconnect)
    reconnect()
    sink('state', 'closed', position)
    sink('closed', { reason, error }, position)
  }

  /** Ends with the answer to what comes next: nothing at all, or another attempt. */
  async function once(): Promise<void> {
    const { signal } = attempt
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    aborted.catch(() => {})
    watch(connectTimeoutMs, 'No answer')
    const asked = requestOf(url, options, position).then(([target, init]) =>
      (options.fetch ?? fetch)(target, { ...init, signal }),
    )
    const response = await Promise.race([asked, aborted])
    const { status, headers } = response
    if (status === 204) return end('finished')
    if (status !== 200) {
      held = retryAfter(headers.get('retry-after'), clock.now())
      const error = new ConnectionError('ERR_SSE_STATUS', `The answer was ${status}.`, { status })
      const unauthorized = status === 401 || status === 403
      if (unauthorized && options.onUnauthorized && !refreshed) {
        if ((await Promise.race([options.onUnauthorized(response), aborted])) === false) return end('failed', error)
        refreshed = now = true
        return
      }
      if (status < 500 && ![408, 425, 429].includes(status)) return end('failed', error)
      throw error
    }
    // [spec] #the-eventsource-interface: the type alone decides, whatever its parameters are.
    if (!/^text\/event-stream\s*(;|$)/i.test(headers.get('content-type') ?? '')) {
      return end('failed', new ConnectionError('ERR_SSE_CONTENT_TYPE', 'The answer is no event stream.', { status }))
    }
    refreshed = false
    const opened = clock.monotonic()
    const reader = response.body!.getReader()
    signal.addEventListener('abort', () => reader.cancel().catch(() => {}))
    try {
      sink('state', 'open', position)
      await read(reader, signal)
    } finally {
      if (clock.monotonic() - opened >= resetMs) failures = 0
    }
  }

  async function read(reader: ReadableStreamDefaultReader<Uint8Array>, signal: AbortSignal): Promise<void> {
    const blocksOf = blockReader(maxEventBytes, (ms) => {
      floor = ms
    })
    let hub = false
    /** Tells what a block says. False: the stream has said its last. */
    function tell({ id = position, event, data }: Block): ReturnType<Sink> | false {
      position = id
      try {
        if (event === 'hub.finished') end('finished')
        if (event === 'hub.finished' || event === 'hub.closed') return false
        if (event === 'hub.position') return sink('position', undefined, id)
        if (event === 'hub.open') {
          hub = true
          const info = JSON.parse(data)
          heartbeat = info.heartbeatIntervalMs
          return sink('open', info, id)
        }
        if (event === 'hub.gap') return sink('gap', { gap: true, ...JSON.parse(data) }, id)
        const { channel, event: type, data: value } = hub ? JSON.parse(data) : { channel: '', event, data }
        return sink('event', { channel, event: type, id, data: value }, id)
      } catch (cause) {
        return sink('error', new ConnectionError('ERR_SSE_DATA', 'Data of an event is not JSON.', { id, cause }), id)
      }
    }
    for (;;) {
      watch(options.silenceMs ?? 3 * (heartbeat ?? HEARTBEAT_MS), 'Not a byte')
      const { done, value } = await reader.read()
      watch(0, '')
      signal.throwIfAborted()
      if (done) return
      lastByte = clock.now()
      for (const block of blocksOf(value)) {
        const busy = tell(block)
        if (busy === false) return
        if (busy) await busy
        signal.throwIfAborted()
      }
    }
  }

  async function run(): Promise<void> {
    const method = options.method ?? (options.body ? 'POST' : 'GET')
    const repeatable = options.retryPost || /^(GET|HEAD)$/i.test(method)
    while (!ended) {
      attempt = new AbortController()
      now = false
      held = 0
      attempts++
      lastByte = clock.now()
      sink('state', 'connecting', position)
      let error: ConnectionError | undefined
      try {
        await once()
      } catch (cause) {
        if (!now) {
          error =
            cause instanceof ConnectionError
              ? cause
              : new ConnectionError('ERR_SSE_NETWORK', 'The connection was lost, or not made.', { cause })
        }
      }
      arm(0, reconnect)
      attempt.abort()
      if (ended) return
      if (error?.code === 'ERR_SSE_EVENT_TOO_LARGE') return end('failed', error)
      if (!now && !repeatable && !position) return end(error ? 'failed' : 'finished', error)
      if (error) sink('error', error, position)
      if (ended) return
      const delay = Math.max(held, backoff(failures++, floor, minMs, maxMs))
      if (!now || suspended) sink('state', 'waiting', position)
      while ((!now || suspended) && !ended) {
        await new Promise<void>((resolve) => {
          go = resolve
          if (!suspended) arm(delay, reconnect)
        })
        go = undefined
      }
    }
  }

  run()
  return {
    get attempts() {
      return attempts
    },
    check,
    reconnect,
    end,
  }
}
