import type { PerAttempt, SourceOptions } from './options.ts'

/** Where relative URLs start, and what counts as the same origin. Neither exists in Node. */
const place = () => globalThis as { document?: { baseURI: string }; location?: { href: string; origin: string } }

export async function each<T>(value: PerAttempt<T>): Promise<T> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value
}

/** A URL that may be relative to the page. */
export function resolveUrl(url: string | URL): URL {
  const { document, location } = place()
  return new URL(url, document?.baseURI ?? location?.href)
}

/** The request of one attempt that goes on after `position`, or begins anew with `''`. */
export async function requestOf(
  url: PerAttempt<string | URL>,
  { channels = [], method, headers, body, credentials, rewind }: SourceOptions,
  position: string,
): Promise<[URL, RequestInit]> {
  const target = resolveUrl(await each(url))
  const query = target.searchParams
  const sent = new Headers((await each(headers)) ?? {})
  const payload = await each(body)
  for (const channel of channels) query.append('channel', channel)
  query.set('envelope', '1')
  if (!sent.has('accept')) sent.set('accept', 'text/event-stream')
  if (position) {
    // Across origins the header would cost a preflight for every attempt.
    if ((place().location?.origin ?? target.origin) !== target.origin) query.set('lastEventId', position)
    // [spec] #the-last-event-id-header: as UTF-8; fetch takes one character for each byte.
    else sent.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(position)))
  } else if (rewind) query.set('rewind', `${rewind}`)
  const init: RequestInit & { cache: 'no-store' } = {
    method: method ?? (payload ? 'POST' : 'GET'),
    headers: sent,
    cache: 'no-store',
  }
  if (payload) init.body = payload
  if (credentials) init.credentials = credentials
  return [target, init]
}
