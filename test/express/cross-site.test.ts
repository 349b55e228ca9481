import { describe, expect, it } from 'vitest'
import { appWith, ask, expectProblem, flavours, makeHub, post, serve } from './support.ts'

describe.each(flavours)('the cross-site guard, Express $version', (flavour) => {
  const { lib } = flavour

  interface Case {
    readonly site?: string
    readonly origin?: string
    readonly host?: string
    readonly forwarded?: string
    readonly trust?: unknown
    readonly allowed?: readonly string[]
    readonly passes: boolean
  }

  const app = 'https://app.example.org'
  const evil = 'https://evil.example'
  const cases: readonly Case[] = [
    // Neither header: curl, a server, a test.
    { passes: true },
    // Sec-Fetch-Site decides, whatever the rest says: a proxy may have rewritten Host.
    { site: 'same-origin', passes: true },
    { site: 'same-origin', origin: app, host: 'internal:8080', passes: true },
    { site: 'none', passes: true },
    { site: 'none', origin: evil, passes: true },
    { site: 'cross-site', passes: false },
    { site: 'cross-site', origin: evil, passes: false },
    { site: 'cross-site', origin: app, allowed: [app], passes: true },
    { site: 'cross-site', origin: evil, allowed: [app], passes: false },
    // Even when the hosts are the same: the browser knows better.
    { site: 'cross-site', origin: app, host: 'app.example.org', passes: false },
    { site: 'cross-site', origin: 'null', passes: false },
    { site: 'cross-site', origin: 'null', allowed: ['null'], passes: true },
    // A sibling, or an older browser: the host of the origin is that of the request, or it is listed.
    ...[undefined, 'same-site'].flatMap((site): Case[] => {
      const from = site === undefined ? {} : { site }
      return [
        { ...from, origin: app, host: 'app.example.org', passes: true },
        { ...from, origin: app, host: 'APP.example.org', passes: true },
        { ...from, origin: app, host: 'app.example.org:443', passes: true },
        { ...from, origin: 'http://app.example.org', host: 'app.example.org:80', passes: true },
        { ...from, origin: 'http://localhost:3000', host: 'localhost:3000', passes: true },
        { ...from, origin: 'http://localhost:3000', host: 'localhost:3001', passes: false },
        { ...from, origin: 'http://[::1]:3000', host: '[::1]:3000', passes: true },
        { ...from, origin: app, host: 'internal', passes: false },
        { ...from, origin: app, host: 'evil.example', passes: false },
        { ...from, origin: app, host: 'api.example.org', passes: false },
        { ...from, origin: app, host: 'api.example.org', allowed: [evil, app], passes: true },
        { ...from, origin: 'https://app.example.org.evil.example', host: 'app.example.org', passes: false },
        { ...from, origin: 'null', host: 'app.example.org', passes: false },
        { ...from, origin: 'null', host: 'null', passes: false },
        { ...from, origin: 'null', allowed: ['null'], passes: true },
        { ...from, origin: 'nonsense', host: 'app.example.org', passes: false },
        { ...from, origin: '', host: 'app.example.org', passes: false },
        { ...from, origin: 'file://', host: 'app.example.org', passes: false },
        // A forwarded host counts only if the app trusts the proxy.
        { ...from, origin: app, host: 'internal', forwarded: 'app.example.org', passes: false },
        { ...from, origin: app, host: 'internal', forwarded: 'app.example.org', trust: true, passes: true },
        { ...from, origin: app, host: 'internal', forwarded: 'app.example.org', trust: 'loopback', passes: true },
        { ...from, origin: app, host: 'internal', forwarded: 'app.example.org', trust: '10.0.0.1', passes: false },
        { ...from, origin: app, host: 'internal', forwarded: 'app.example.org, b', trust: 1, passes: true },
        { ...from, origin: app, host: 'app.example.org', forwarded: 'other.example', trust: true, passes: false },
        { ...from, origin: app, host: 'app.example.org', trust: true, passes: true },
        { ...from, origin: evil, host: 'internal', forwarded: 'app.example.org', trust: true, passes: false },
      ]
    }),
    { site: 'same-site', passes: true },
  ]

  it.each(cases)('%o', async ({ site, origin, host, forwarded, trust, allowed, passes }) => {
    const hub = makeHub(lib)
    const app = appWith(flavour, hub, { channels: ['>'], publish: 'anyone', allowedOrigins: allowed })
    if (trust !== undefined) app.set('trust proxy', trust)
    const answer = await post(await serve(app), '/channels/news', '1', {
      ...(site === undefined ? {} : { 'sec-fetch-site': site }),
      ...(origin === undefined ? {} : { origin }),
      ...(host === undefined ? {} : { host }),
      ...(forwarded === undefined ? {} : { 'x-forwarded-host': forwarded }),
    })
    if (passes) {
      expect(answer.status).toBe(201)
    } else {
      const detail = expectProblem(answer, 403, 'ERR_SSE_CROSS_SITE')
      expect(detail).toContain('allowedOrigins')
      if (origin !== undefined) expect(detail).toContain(origin)
    }
    expect(hub.stats().published).toBe(passes ? 1 : 0)
    // It does not replace cors().
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('stands before the hook, and not before GET', async () => {
    const hub = makeHub(lib)
    let asked = 0
    const app = appWith(flavour, hub, { channels: ['>'], publish: () => ++asked > 0 })
    const url = await serve(app)
    const headers = { 'sec-fetch-site': 'cross-site', origin: evil }
    expect((await post(url, '/channels/news', '1', headers)).status).toBe(403)
    expect(asked).toBe(0)
    expect((await ask(url, '/channels/news', { method: 'HEAD', headers })).status).toBe(200)
  })
})
