import type { Request } from 'express'
import { SseError } from '../errors.ts'

/**
 * Refuses a POST that a page of another site makes a browser send: forms and plain text need no CORS preflight, and the
 * browser adds the user's cookies. Throws ERR_SSE_CROSS_SITE. It does not replace `cors()`: it sets no header.
 *
 * `Sec-Fetch-Site` decides if the browser sends it. Otherwise the host of `Origin` is compared with the host of the
 * request. A request with neither header does not come from a browser.
 */
export function assertSameSite(req: Request, allowedOrigins: ReadonlySet<string>): void {
  const { origin } = req.headers
  const site = req.headers['sec-fetch-site']
  if (site === 'same-origin' || site === 'none') return
  if (origin === undefined && site !== 'cross-site') return
  if (origin !== undefined && allowedOrigins.has(origin)) return
  // An opaque origin (`null`) has no host, so it never equals the host of the request.
  const host = origin === undefined ? undefined : hostOf(origin)
  if (site !== 'cross-site' && host && host === ownHost(req, origin!)) return
  throw new SseError(
    'ERR_SSE_CROSS_SITE',
    `Origin ${origin ?? 'unknown'} may not publish here. List it in the option allowedOrigins of the router to allow it.`,
  )
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** The host that the client requested, in the form of `hostOf`. It respects `trust proxy`, in Express 4 and 5. */
function ownHost(req: Request, origin: string): string | undefined {
  const trust = req.app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  const forwarded = req.get('X-Forwarded-Host')
  const proxied = forwarded !== undefined && trust?.(req.socket.remoteAddress, 0) === true
  const host = (proxied ? forwarded.split(',')[0]?.trim() : undefined) ?? req.get('Host')
  return hostOf(`${new URL(origin).protocol}//${host}`)
}
