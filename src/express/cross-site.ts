import type { Request } from 'express'
import { SseError } from '../errors.ts'

/**
 * Refuses what a page of another site makes a browser POST: forms and plain text need no CORS preflight, and the
 * browser adds the user's cookies. Throws ERR_SSE_CROSS_SITE. It does not replace `cors()`: no header is set.
 *
 * `Sec-Fetch-Site` decides where a browser sends it; else the host of `Origin` is compared with that of the request;
 * a request with neither comes from no browser.
 */
export function assertSameSite(req: Request, allowedOrigins: ReadonlySet<string>): void {
  const { origin } = req.headers
  const site = req.headers['sec-fetch-site']
  if (site === 'same-origin' || site === 'none') return
  if (origin === undefined && site !== 'cross-site') return
  if (origin !== undefined && allowedOrigins.has(origin)) return
  // An opaque origin (`null`) has no host, and is that of nobody.
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

/** The host that the client asked for, in the form of `hostOf`: as `trust proxy` has it, in Express 4 and 5 alike. */
function ownHost(req: Request, origin: string): string | undefined {
  const trust = req.app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  const forwarded = req.get('X-Forwarded-Host')
  const proxied = forwarded !== undefined && trust?.(req.socket.remoteAddress, 0) === true
  const host = (proxied ? forwarded.split(',')[0]?.trim() : undefined) ?? req.get('Host')
  return hostOf(`${new URL(origin).protocol}//${host}`)
}
