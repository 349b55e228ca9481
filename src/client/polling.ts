import { integerOption, optionsObject } from '../option.ts'

/** Options of `withPolling()`. */
export interface PollingOptions {
  /** Streams in a row without a byte until it polls. Default 3; 1–100. */
  afterStreams?: number | undefined
  /** Seconds that the server may hold a request: 1–60. Default 20. `silenceMs` must be longer. */
  waitSeconds?: number | undefined
  /** ms until it tries a stream again. Default 300,000; at most a day. */
  retryStreamMs?: number | undefined
  /** The function that sends the requests. Default: the global one at the time of each request. */
  fetch?: typeof fetch | undefined
}

/** The part of an answer that it uses. */
interface Answer {
  readonly position: string
  readonly end: boolean
  readonly events: readonly { channel: string; id: string; event?: string; data: unknown }[]
  readonly gap?: { readonly reason: string; readonly to: string }
}

const NAMES = ['afterStreams', 'waitSeconds', 'retryStreamMs', 'fetch'] as const
const LIMIT = '1000'

/**
 * A `fetch` for `connect()` behind proxies that hold streams back: when three streams in a row have not brought a byte
 * in time, it reads by long polling instead, and gives the answers to the client as a stream. `hub.open` then has
 * `polling: true`. After minutes it tries a stream again, and stays with streams once one has brought a byte. One such
 * function is for one connection. Throws a TypeError that names an invalid option.
 */
export function withPolling(options: PollingOptions = {}): typeof fetch {
  optionsObject('withPolling()', options, NAMES)
  const afterStreams = integerOption('afterStreams', options.afterStreams, 3, 1, 100)
  const waitSeconds = integerOption('waitSeconds', options.waitSeconds, 20, 1, 60)
  const retryStreamMs = integerOption('retryStreamMs', options.retryStreamMs, 300_000, 0, 86_400_000)
  let heldBack = 0
  let streamAgainAt = 0
  const send: typeof fetch = (...request) => (options.fetch ?? fetch)(...request)

  /** Counts an attempt that the client has given up because no byte has come. */
  function watch(signal: AbortSignal): () => void {
    const onAbort = () => {
      if ((signal.reason as { code?: string })?.code !== 'ERR_SSE_TIMEOUT') return
      heldBack++
      streamAgainAt = Date.now() + retryStreamMs
    }
    signal.addEventListener('abort', onAbort)
    return () => {
      heldBack = 0
      signal.removeEventListener('abort', onAbort)
    }
  }

  return async (input, init = {}) => {
    const url = new URL(input as URL)
    const headers = new Headers(init.headers)
    if (init.method !== 'GET' || !init.signal) return send(input, init)
    if (heldBack < afterStreams || Date.now() >= streamAgainAt) {
      const hasByte = watch(init.signal)
      const response = await send(input, init)
      const body = response.body?.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            hasByte()
            controller.enqueue(chunk)
          },
        }),
      )
      return body ? Object.defineProperty(response, 'body', { value: body }) : response
    }

    let position = headers.get('last-event-id') ?? url.searchParams.get('lastEventId') ?? ''
    const asked = url.searchParams.getAll('channel')
    headers.set('accept', 'application/json')
    headers.delete('last-event-id')
    for (const name of ['lastEventId', 'envelope']) url.searchParams.delete(name)
    url.searchParams.set('limit', LIMIT)
    if (!position && !url.searchParams.has('rewind')) url.searchParams.set('rewind', '0')

    function poll(wait: number): Promise<Response> {
      if (position) url.searchParams.set('after', position)
      url.searchParams.set('wait', `${wait}`)
      return send(url, { ...init, headers })
    }

    // The first answer comes at once: its status is that of the attempt.
    const first = await poll(0)
    if (first.status !== 200) return first
    let answer: Answer | undefined = await read(first)
    const isUnusable = !!answer.gap && answer.gap.reason !== 'trimmed'
    let isAtEnd: boolean
    const open = {
      channels: asked,
      resumed: !!position && !isUnusable,
      heartbeatIntervalMs: 1_000 * waitSeconds,
      envelope: true,
      polling: true,
    }
    let text = block('hub.open', isUnusable ? '' : position, open)
    const encoder = new TextEncoder()
    const body = new ReadableStream({
      async pull(controller) {
        if (!answer) {
          if (Date.now() >= streamAgainAt) return controller.close()
          const response = await poll(isAtEnd ? waitSeconds : 0)
          // The next attempt receives this status, and acts on it.
          if (response.status !== 200) return controller.close()
          answer = await read(response)
        }
        const { gap, events } = answer
        if (gap) text += block('hub.gap', gap.to, gap)
        for (const { channel, id, event, data } of events) text += block('', id, { channel, event, data })
        position = answer.position
        isAtEnd = answer.end
        controller.enqueue(encoder.encode(text + block('hub.position', position, {})))
        answer = undefined
        text = ''
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
}

async function read(response: Response): Promise<Answer> {
  return (await response.json()) as Answer
}

/** One event of a hub's stream. */
function block(type: string, id: string, data: object): string {
  return `${type && `event: ${type}\n`}${id && `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}
