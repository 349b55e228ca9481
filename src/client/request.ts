import type { PerAttempt, SourceOptions } from './options.ts'

async function each<T>(value: PerAttempt<T>): Promise<T> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value
}

/** A URL that may be relative to the page. */
export function resolveUrl(url: string | URL): URL {
  return new URL(new Request(url).url)
}

/** Makes the request of one attempt that goes on after `position`, or begins anew with `''`. */
export async function request(
  url: PerAttempt<string | URL>,
  { channels = [], method, headers, body, credentials, rewind, fetch = globalThis.fetch }: SourceOptions,
  position: string,
  signal: AbortSignal,
): Promise<Response> {
  const target = resolveUrl(await each(url))
  const query = target.searchParams
  const sent = new Headers(await each(headers))
  for (const channel of channels) query.append('channel', channel)
  query.set('envelope', '1')
  sent.set('accept', 'text/event-stream')
  if (position) {
    const { location = target } = globalThis as { location?: { origin: string } }
    // [spec] #the-last-event-id-header: as UTF-8; fetch takes one character for each byte.
    if (location.origin === target.origin) sent.set('last-event-id', unescape(encodeURIComponent(position)))
    // Across origins the header would cost a preflight for every attempt.
    else query.set('lastEventId', position)
  } else if (rewind) query.set('rewind', `${rewind}`)
  // [spec] https://fetch.spec.whatwg.org/#dom-request: `undefined` is as good as absent.
  const init = { method, headers: sent, body: await each(body), credentials, cache: 'no-store', signal }
  return fetch(target, init as RequestInit)
}
