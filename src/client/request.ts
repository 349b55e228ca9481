import { connectionError } from './error.ts'
import type { PerAttempt, SourceOptions } from './options.ts'

/**
 * The value of an option. A function that throws at once is a mistake in the options; one that rejects may have failed
 * to fetch.
 */
async function each<T>(value: PerAttempt<T>): Promise<T> {
  return typeof value === 'function' ? valid(value as () => T | Promise<T>) : value
}

/** The result of `make`. An exception is a mistake in the options: it would be thrown again. */
function valid<T>(make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw connectionError('ERR_SSE_REQUEST', { cause }, true)
  }
}

/** A URL that may be relative to the page. */
export function resolveUrl(url: string | URL): URL {
  return new URL(new Request(url).url)
}

/** Makes the request of one attempt that resumes after `position`, or starts from the end with `''`. */
export async function request(
  url: PerAttempt<string | URL>,
  { channels = [], method, headers, body, credentials, rewind, fetch = globalThis.fetch }: SourceOptions,
  position: string,
  signal: AbortSignal,
): Promise<Response> {
  const [givenUrl, givenHeaders, givenBody] = [await each(url), await each(headers), await each(body)]
  const [target, sent] = valid(() => [resolveUrl(givenUrl), new Headers(givenHeaders)])
  const query = target.searchParams
  for (const channel of channels) query.append('channel', channel)
  query.set('envelope', '1')
  sent.set('accept', 'text/event-stream')
  if (position) {
    const { location = target } = globalThis as { location?: { origin: string } }
    // [spec] #the-last-event-id-header: as UTF-8; fetch takes one character for each byte.
    if (location.origin === target.origin && location.origin !== 'null')
      sent.set('last-event-id', unescape(encodeURIComponent(position)))
    // Across origins, and from an opaque one, the header would cost a preflight for every attempt.
    else query.set('lastEventId', position)
  } else if (rewind) query.set('rewind', `${rewind}`)
  // [spec] https://fetch.spec.whatwg.org/#dom-request: `undefined` is the same as absent.
  const init = { method, headers: sent, body: givenBody, credentials, cache: 'no-store', signal } as RequestInit
  // A stream as the body can be used only once.
  if (!(givenBody as ReadableStream | undefined)?.getReader) valid(() => new Request(target, init))
  return fetch(target, init)
}
