import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import cors from 'cors'
import { EventSource } from 'eventsource'
import express, { type Express } from 'express'
import express4 from 'express-4'
import session from 'express-session'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { loadDriver } from '../src/broker/sqlite/driver.ts'
import * as sqlite from '../src/broker/sqlite/index.ts'
import * as library from '../src/index.ts'
import { ChannelHub, memoryBroker, SseError, type SseErrorCode, sse } from '../src/index.ts'
import * as testing from '../src/testing/index.ts'
import { type OpenStream, openStream } from '../src/testing/index.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
/** Where the snippets are written as modules. Inside of the repository, so that they find its packages. */
const TEMP = join(ROOT, 'test/.tmp/readme')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Snippet {
  readonly heading: string
  readonly language: string
  readonly code: string
}

const snippets: Snippet[] = []
for (const [, heading, block, language, code] of README.matchAll(/^#{1,6} (.+)$|^(```(\w*)\n([\s\S]*?)^```)$/gm)) {
  if (heading !== undefined) snippets.push({ heading, language: '', code: '' })
  else if (block !== undefined) snippets.push({ heading: snippets.at(-1)!.heading, language: language!, code: code! })
}
const fenced = snippets.filter(({ language }) => language !== '')
const known = new Set<Snippet>()

/** The one snippet of that language under a heading that contains `text`. Taken by its test, once. */
function snippet(heading: string, language: string, text = ''): string {
  const found = fenced.filter((one) => one.heading === heading && one.language === language && one.code.includes(text))
  if (found.length !== 1) throw new Error(`${found.length} ${language} snippets under ${heading} contain "${text}".`)
  known.add(found[0]!)
  return found[0]!.code
}

const TITLE = 'express-sse-hub'
const SERVER = snippet(TITLE, 'ts', 'app.listen')
const PAGE = snippet(TITLE, 'html')
const CURL = snippet(TITLE, 'sh')
const COMMANDS = snippet('Install', 'sh', 'npm start')
const INSTALL = snippet('Install', 'sh', 'npm pack')
const SQLITE_HEADING = '`sqliteBroker({ file, history, durability, clock })`'
const SQLITE = snippet(SQLITE_HEADING, 'ts', 'import')
const DRIVER = snippet(SQLITE_HEADING, 'sh')
const CJS = snippet('Express 4 and CommonJS', 'js')
const IN_A_PAGE = snippet('Events of the hub in a page', 'js')
const CLIENT = snippet('The client', 'ts', 'sessionStore')
const ITERATOR = snippet('The client', 'ts', 'for await')
const SHARED = snippet('One connection for all tabs', 'ts')
const NGINX = snippet('Behind proxies', 'nginx')
const SHUTDOWN = snippet('Operations', 'ts')
const TESTING = snippet('Testing your routes', 'ts')
/** What is run against one server, one after the other: each `sh` with the output that follows it. */
const HTTP_PARTS = ['GET `/channels/:channel`', 'POST `/channels/:channel`']
const http = fenced.filter(({ heading }) => HTTP_PARTS.includes(heading))
for (const one of http) known.add(one)

/** Pieces of an application that take what they need as a parameter: each is a module in the folder of snippets. */
const PIECES = {
  streams: { code: snippet(TITLE, 'ts', '/clock').replace('1000', '20'), needs: 'app, model', gives: '' },
  finish: { code: snippet('`sse(options?)`', 'ts'), needs: 'app, progressOf', gives: '' },
  hub: {
    code: snippet('`new ChannelHub(options?)`', 'ts', 'isEditor'),
    needs: 'app, hub, isEditor, requireEditor, requireUser',
    gives: 'id',
  },
  guarded: { code: snippet('`new ChannelHub(options?)`', 'ts', '/logout'), needs: 'app, hub, requireUser', gives: '' },
  events: { code: snippet('`new ChannelHub(options?)`', 'ts', 'for await'), needs: 'hub, signal, console', gives: '' },
  typed: { code: snippet('`new ChannelHub(options?)`', 'ts', 'interface Channels'), needs: '', gives: 'typedHub' },
  history: { code: snippet('`memoryBroker({ history, clock })`', 'ts'), needs: '', gives: 'hub' },
  backup: { code: snippet(SQLITE_HEADING, 'ts', 'backup('), needs: 'broker', gives: '' },
  http: { code: snippet('HTTP', 'ts'), needs: 'app, hub', gives: '' },
  letGo: { code: snippet('Many idle streams', 'ts'), needs: 'app, hub', gives: '' },
  cors: { code: snippet('Other middleware', 'ts', 'cors('), needs: 'app, hub, cors', gives: '' },
  session: { code: snippet('Other middleware', 'ts', 'session.save'), needs: 'app, hub', gives: '' },
} as const

const ENVIRONMENT = `
import type { Express, Request, RequestHandler } from 'express'
import type { ChannelHub } from '../../../src/index.ts'
import type { SqliteBroker } from '../../../src/broker/sqlite/index.ts'

declare global {
  namespace Express {
    interface Request {
      user: { id: string; editor: boolean; sessionEnds: Date }
      session: { seen: number; save(done: (error?: unknown) => void): void }
    }
  }
}
export interface Environment {
  app: Express
  hub: ChannelHub
  broker: SqliteBroker
  model: { generate(prompt: string, options: { signal: AbortSignal }): AsyncIterable<string> }
  progressOf(id: string): AsyncIterable<{ percent: number }>
  isEditor(req: Request): boolean
  requireUser: RequestHandler
  requireEditor: RequestHandler
  signal: AbortSignal
  console: Pick<Console, 'log' | 'warn'>
  cors(options: object): RequestHandler
}
`
const APP = SERVER.replace(/^app\.listen.*$/m, 'export { app }')
const COLLECT = `
export const tests: [name: string, run: () => unknown][] = []
export const it = (name: string, run: () => unknown) => void tests.push([name, run])
`
const COMPILER_OPTIONS = {
  noUnusedLocals: false,
  noUnusedParameters: false,
  noPropertyAccessFromIndexSignature: false,
  noImplicitAny: false,
}

/** The package by the path of its sources, seen from a module in the folder of snippets. */
function fromSources(code: string): string {
  return (
    code
      .replaceAll("'express-sse-hub/testing'", "'../../../src/testing/index.ts'")
      .replaceAll("'express-sse-hub/client/shared'", "'../../../src/client/shared.ts'")
      .replaceAll("'express-sse-hub/client'", "'../../../src/client/index.ts'")
      .replaceAll("'express-sse-hub/sqlite'", "'../../../src/broker/sqlite/index.ts'")
      // Relative to the process, which is not that of the README.
      .replaceAll("'data/hub.db'", `'${join(TEMP, 'data/hub.db')}'`)
      .replaceAll("'backup/hub.db'", `'${join(TEMP, 'data/copy.db')}'`)
      .replaceAll("'express-sse-hub'", "'../../../src/index.ts'")
  )
}

function write(file: string, code: string): void {
  writeFileSync(join(TEMP, file), fromSources(code))
}

beforeAll(() => {
  rmSync(TEMP, { recursive: true, force: true })
  for (const folder of ['public', 'data']) mkdirSync(join(TEMP, folder), { recursive: true })
  write('public/index.html', PAGE)
  write('environment.ts', ENVIRONMENT)
  write('app.ts', APP)
  write('collect.ts', COLLECT)
  write('sqlite.ts', `import { ChannelHub } from 'express-sse-hub'\n${SQLITE}\nexport { broker, hub }`)
  const testing = TESTING.replace(
    "import { expect, it } from 'vitest'",
    "import { expect } from 'vitest'\nimport { it } from './collect.ts'",
  )
  write('testing.ts', testing.replace('./app.js', './app.ts'))
  const client = [CLIENT, SHARED, ITERATOR].join('\n')
  const imports = client.match(/^import .*$/gm)!.join('\n')
  write(
    'client.ts',
    `${imports}
interface Page {
  url: string
  user: { id: string }
  console: Pick<Console, 'log' | 'warn'>
  refetch(): void
  show(what: string, data: unknown): void
  say(what: string): void
  given(connections: { close(): void }[]): void
}
export default async function ({ url, user, console, refetch, show, say, given }: Page) {
${client
  .replace(/^import .*$/gm, '')
  .replaceAll("'/channels'", 'url')
  .replace('for await', 'given([connection, shared])\nfor await')}
}
`,
  )
  for (const [name, { code, needs, gives }] of Object.entries(PIECES)) {
    write(
      `${name}.ts`,
      `import { ChannelHub, channelToken, memoryBroker, pattern, sse } from 'express-sse-hub'
import type { Environment } from './environment.ts'
export default async function ({ ${needs} }: Environment) {
${code}
return { ${gives} }
}
`,
    )
  }
  const compilerOptions = COMPILER_OPTIONS
  write('tsconfig.json', JSON.stringify({ extends: '../../../tsconfig.json', compilerOptions, include: ['*.ts'] }))
})

const started: (() => unknown)[] = []
afterAll(async () => {
  for (const stop of started) await stop()
  rmSync(TEMP, { recursive: true, force: true })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Runs a module of the folder in a process of its own. Resolves with its first line. */
async function run(file: string): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd: TEMP, stdio: ['ignore', 'pipe', 'inherit'] })
  started.push(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout!, 'data')
  return { child, line: String(line).trim() }
}

async function listen(app: Express): Promise<string> {
  const server: Server = app.listen(0)
  await once(server, 'listening')
  started.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://localhost:${(server.address() as { port: number }).port}`
}

/** An application with one of the pieces in it, and the URL that it is served at. */
async function serve(piece: keyof typeof PIECES, environment: object = {}, ...before: express.RequestHandler[]) {
  const app = express()
  const hub = new ChannelHub()
  app.use(sse(), ...before)
  const requireEditor: express.RequestHandler = (req, res, next) => {
    if (isEditor(req)) next()
    else res.sendStatus(403)
  }
  const given = { app, hub, requireUser, requireEditor, isEditor, cors, ...environment }
  const { default: piecemeal } = await import(join(TEMP, `${piece}.ts`))
  return { hub, given: await piecemeal(given), url: await listen(app) }
}

const requireUser: express.RequestHandler = (req, res, next) => {
  const id = req.get('x-user')
  if (id === undefined) return void res.sendStatus(401)
  Object.assign(req, { user: { id, editor: id === 'editor', sessionEnds: new Date(Date.now() + 60_000) } })
  next()
}
const isEditor = (req: express.Request) => req.get('x-user') === 'editor'

async function open(url: string, path: string, options?: Parameters<typeof openStream>[2]): Promise<OpenStream> {
  const stream = await openStream(url, path, options)
  onTestFinished(() => stream.drop())
  return stream
}

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** Runs a command line with curl in it until `enough` of its output, or its end. */
async function shell(line: string, enough: (output: string) => boolean = () => false): Promise<string> {
  const command = line.replace(/\s+#.*$/, '').replaceAll(/\bcurl /g, "curl -sS -m 5 -w '\\n%{http_code}' ")
  const child = spawn('bash', ['-c', `exec 2>&1; ${command}`], { detached: true })
  const closed = once(child, 'close')
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
    // A little longer, to see what comes after that.
    if (enough(output)) setTimeout(() => child.exitCode ?? process.kill(-child.pid!), 50)
  })
  await closed
  return output
}

describe('the README', () => {
  it('has no snippet that nothing runs', () => {
    expect(fenced.filter((one) => !known.has(one))).toEqual([])
    expect(fenced.length).toBeGreaterThan(30)
  })

  it('has snippets that compile', { timeout: 60_000 }, async () => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', TEMP]).catch((error) => error)
    expect(stdout).toBe('')
  })

  it('has links that lead somewhere', () => {
    const anchors = [...README.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
    for (const [, target] of README.matchAll(/\]\(([^)]+)\)/g)) {
      if (target!.startsWith('#')) expect(anchors).toContain(target!.slice(1))
      else expect(existsSync(join(ROOT, target!)), target).toBe(true)
    }
    expect(anchors).toHaveLength(new Set(anchors).size)
  })

  it('has a block for nginx that nginx takes', () => {
    // Its braces and semicolons; `npm run test:e2e` needs no nginx, so it is not started here.
    expect(NGINX).toMatch(/^location \/channels \{\n(?: {2}proxy_\w+ [^;\n]+;\n)+\}\n$/)
  })

  it('names commands that exist', () => {
    const { scripts, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(COMMANDS).toBe('npm ci && npm start\nnpm ci && npm test\n')
    expect(existsSync(join(ROOT, 'package-lock.json'))).toBe(true)
    expect(scripts.test).toMatch(/^vitest run/)
    expect(existsSync(join(ROOT, scripts.start.replace('node --import tsx ', '')))).toBe(true)
    expect(INSTALL).toContain(`express-sse-hub-${version}.tgz`)
    const driver = readFileSync(join(ROOT, 'src/broker/sqlite/driver.ts'), 'utf8')
    expect(driver).toContain(`: ${DRIVER.trim()}, or use Node 22.13`)
    const { peerDependencies, peerDependenciesMeta } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    // An application may have another one for itself: what runs is decided when a log is opened.
    expect(peerDependencies['better-sqlite3']).toBe('>=9')
    expect(peerDependenciesMeta['better-sqlite3']).toEqual({ optional: true })
  })
})

describe('its first screen', () => {
  let url: string
  beforeAll(async () => {
    const port = await freePort()
    write('server.ts', SERVER.replaceAll('3000', String(port)))
    url = `http://localhost:${port}`
    expect((await run('server.ts')).line).toBe(url)
  }, 60_000)

  it('listens, publishes and comes back with curl', async () => {
    const [listening, publishing, comingBack] = CURL.replaceAll('localhost:3000', url).trim().split('\n')
    const opened = await shell(listening!, (output) => /id: \S+\n.*\n\n/.test(output))
    const id = /id: (\S+)/.exec(opened)![1]!
    for (let i = 0; i < 2; i++) expect(await shell(publishing!)).toMatch(/"localSubscribers":\d}\n201$/)
    const missed = /data: \{"text":"hi"\}\n/g
    const back = await shell(comingBack!.replace('<that id>', id), (output) => output.match(missed)?.length === 2)
    expect(back).toContain('"resumed":true')
    expect(back.match(missed)).toHaveLength(2)
  })

  it('is a page that shows what it sends', async () => {
    const page = await (await fetch(url)).text()
    const script = /<script>([\s\S]*)<\/script>/.exec(page)![1]!
    const form = { data: { value: 'Hello\nthere' }, reset: vi.fn(), onsubmit: (_event: object) => {} }
    const list = { append: vi.fn() }
    const document = {
      querySelectorAll: (selector: string) => (selector === 'form, ul' ? [form, list] : []),
      createElement: (name: string) => ({ name }),
    }
    const sources: EventSource[] = []
    new Function('document', 'EventSource', 'fetch', script)(
      document,
      sourceAt(url, sources),
      (path: string, init: RequestInit) => fetch(url + path, init),
    )
    onTestFinished(() => sources[0]!.close())
    await eventOf(sources[0]!, 'hub.open')
    const preventDefault = vi.fn()
    form.onsubmit({ preventDefault })
    await vi.waitFor(() => expect(list.append).toHaveBeenCalledWith({ name: 'li', textContent: 'Hello\nthere' }), {
      timeout: 15_000,
    })
    expect(preventDefault).toHaveBeenCalledOnce()
    expect(form.reset).toHaveBeenCalledOnce()
  })

  it('has streams alone', async () => {
    const aborted = vi.fn()
    const model = {
      async *generate(prompt: string, { signal }: { signal: AbortSignal }) {
        signal.addEventListener('abort', aborted)
        yield* [...prompt]
      },
    }
    const { url } = await serve('streams', { model }, express.json())
    const cleared = vi.spyOn(globalThis, 'clearInterval')
    const clock = await open(url, '/clock')
    for (let i = 0; i < 2; i++) {
      const tick = await clock.next()
      expect(tick.event).toBe('tick')
      expect(tick.json<{ now: number }>().now).toBeGreaterThan(Date.now() - 5_000)
    }
    cleared.mockClear()
    clock.drop()
    await vi.waitFor(() => expect(cleared).toHaveBeenCalled(), { timeout: 15_000 })

    const headers = { 'content-type': 'application/json' }
    const answer = await open(url, '/answer', { body: JSON.stringify({ prompt: 'ab' }), headers })
    expect([await answer.next(), await answer.next(), await answer.next()].map(({ data }) => data)).toEqual([
      'a',
      'b',
      '[DONE]',
    ])
    await answer.ended
    expect(aborted).toHaveBeenCalledOnce()
  })
})

function eventOf(source: EventSource, type: string): Promise<Event> {
  return new Promise((resolve) => source.addEventListener(type, resolve, { once: true }))
}

/** EventSource as a page at `url` has it: it takes relative URLs. `opened` gets each that is made. */
function sourceAt(url: string, opened: EventSource[]) {
  return class extends EventSource {
    constructor(path: string) {
      super(new URL(path, url))
      opened.push(this)
    }
  }
}

describe('its snippets', () => {
  it('end a stream for good', async () => {
    async function* progressOf(id: string) {
      yield { percent: 50, id }
      yield { percent: 100 }
    }
    const { url } = await serve('finish', { progressOf })
    const job = await open(url, '/jobs/7')
    expect((await job.next()).json()).toEqual({ percent: 50, id: '7' })
    expect((await job.next()).json()).toEqual({ percent: 100 })
    expect((await job.next()).event).toBe('hub.finished')
    await job.ended
    await job.reconnect()
    expect(job.status).toBe(204)
  })

  it('serve channels', async () => {
    const { hub, given, url } = await serve('hub')
    expect(given.id).toMatch(/^\w{6}\.1$/)
    expect((await open(url, '/channels/news')).status).toBe(200)
    expect((await open(url, '/channels/price.*')).status).toBe(200)
    expect((await open(url, '/channels/user.7')).status).toBe(404)
    expect((await post(`${url}/channels/news`, 1)).status).toBe(403)
    expect((await post(`${url}/channels/news`, 1, { 'x-user': 'editor' })).status).toBe(201)
    expect((await open(url, '/news')).status).toBe(200)
    expect((await post(`${url}/news`, 1, { 'x-user': 'editor' })).status).toBe(403)
    const headers = { 'x-user': '7' }
    const editor = { headers: { 'x-user': 'editor' } }
    const streams = [await open(url, '/me/events', { headers }), await open(url, '/all/events', editor)]
    for (const stream of streams) await stream.next()
    await hub.publish('user.7', 'hello')
    for (const stream of streams) expect((await stream.next()).data).toBe('hello')
  })

  it('ask who may read and write', async () => {
    const { hub, url } = await serve('guarded')
    const headers = { 'x-user': 'u1' }
    expect((await open(url, '/guarded/news')).status).toBe(401)
    expect((await open(url, '/guarded/user.u2', { headers })).status).toBe(403)
    const mine = await open(url, '/guarded?channel=news&channel=user.u1', { headers })
    await mine.next()
    expect((await post(`${url}/guarded/news`, 1, headers)).status).toBe(403)
    expect((await post(`${url}/guarded/news`, 1, { 'x-user': 'editor' })).status).toBe(201)
    expect((await mine.next()).data).toBe('1')
    expect([...hub.channel('news').subscribers].map(({ info }) => info)).toEqual(['u1'])
    expect((await post(`${url}/logout`, 1, headers)).status).toBe(204)
    expect((await mine.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'revoked' })
  })

  it('read channels in the process', async () => {
    const hub = new ChannelHub({ broker: memoryBroker({ history: { maxEvents: 1 } }) })
    await hub.publish('news', { title: 'kept' }, { event: 'headline' })
    const controller = new AbortController()
    const console = { log: vi.fn(), warn: vi.fn() }
    const reading = import(join(TEMP, 'events.ts')).then((piece) =>
      piece.default({ hub, signal: controller.signal, console }),
    )
    await vi.waitFor(() => expect(console.log).toHaveBeenCalledTimes(1), { timeout: 15_000 })
    await hub.publish('price.usd', 1)
    await vi.waitFor(() => expect(console.log).toHaveBeenCalledTimes(2), { timeout: 15_000 })
    expect(console.log.mock.calls.map(([channel, event, , data]) => [channel, event, data])).toEqual([
      ['news', 'headline', { title: 'kept' }],
      ['price.usd', undefined, 1],
    ])
    controller.abort()
    await reading
  })

  it('publish with types', async () => {
    const { given } = await serve('typed')
    expect(given.typedHub.stats().published).toBe(3)
  })

  it('connect with the client', async () => {
    const hub = new ChannelHub()
    const app = express()
    app.use('/channels', hub.router({ channels: ['board', 'price.*'] }))
    const url = `${await listen(app)}/channels`
    vi.stubGlobal('sessionStorage', {})
    const { default: page } = await import(join(TEMP, 'client.ts'))
    const told = { refetch: vi.fn(), show: vi.fn(), say: vi.fn(), log: vi.fn() }
    let connections: { close(): void }[] = []
    const given = (made: typeof connections) => (connections = made)
    const ended = page({ ...told, url, user: { id: '7' }, console: told, given })
    await vi.waitFor(() => expect(told.refetch).toHaveBeenCalledTimes(1), { timeout: 15_000 })
    await hub.publish('board', { text: 'hi' }, { event: 'note' })
    await hub.publish('price.usd', { cents: 199 })
    await vi.waitFor(() => expect(told.log).toHaveBeenCalledTimes(2), { timeout: 15_000 })
    expect(told.show.mock.calls).toEqual([
      ['board', { text: 'hi' }],
      ['price.usd', { cents: 199 }],
      ['cents', 199],
    ])
    for (const connection of connections) connection.close()
    await ended
    expect(told.say.mock.calls.flat()).toEqual(['connecting', 'open', 'closed', 'closed'])
    expect(Object.keys((globalThis as unknown as { sessionStorage: object }).sessionStorage)).toEqual([
      'express-sse-hub:board',
    ])
    vi.unstubAllGlobals()
    await hub.close()
  })

  it('keep history by channel', async () => {
    const { hub } = (await serve('history')).given
    for (let i = 0; i < 3; i++) await hub.publish('price.usd', i)
    for (let i = 0; i < 61; i++) await hub.publish('machine', i)
    const reader = hub.events(['price.usd', 'machine'], { rewind: 1_000 })
    expect((await reader.next()).value.data).toBe(2)
    expect((await reader.next()).value.data).toBe(1)
    await reader.return()
  })

  it('keep the log in a file, and copy it while it is in use', async () => {
    const { broker, hub } = await import(join(TEMP, 'sqlite.ts'))
    const { id: after } = await hub.publish('news', 'first')
    await hub.publish('news', 'second')
    const { default: backup } = await import(join(TEMP, 'backup.ts'))
    await backup({ broker })
    await hub.publish('news', 'third')
    // As from another process.
    const db = (await loadDriver()).open(join(TEMP, 'data/hub.db'))
    db.exec(`VACUUM INTO '${join(TEMP, 'data/copy-2.db')}'`)
    db.close()
    await hub.close()
    const missed = async (file: string, count: number) => {
      const hub = new ChannelHub({ broker: sqlite.sqliteBroker({ file: join(TEMP, 'data', file) }) })
      const reader = hub.events('news', { after })
      const texts = []
      for (let i = 0; i < count; i++) texts.push((await reader.next()).value.data)
      await reader.return!()
      await hub.close()
      return texts
    }
    expect(await missed('hub.db', 2)).toEqual(['second', 'third'])
    expect(await missed('copy.db', 1)).toEqual(['second'])
    expect(await missed('copy-2.db', 2)).toEqual(['second', 'third'])
  })

  it('test routes', async () => {
    const { tests } = await import(join(TEMP, 'collect.ts'))
    await import(join(TEMP, 'testing.ts'))
    expect(tests).toHaveLength(2)
    for (const [, run] of tests) await run()
  })

  it('let pages of another origin in', async () => {
    const { url } = await serve('cors')
    const origin = 'https://admin.example.org'
    const stream = await open(url, '/channels/board', { headers: { origin } })
    expect(stream.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
    })
    const preflight = await fetch(`${url}/channels/board`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'last-event-id' },
    })
    expect(preflight.headers.get('access-control-allow-headers')).toContain('Last-Event-ID')
    expect((await post(`${url}/channels/board`, 1, { origin })).status).toBe(201)
    expect((await post(`${url}/channels/board`, 1, { origin: 'https://elsewhere.example' })).status).toBe(403)
  })

  it('let go of what an idle stream does not need', async () => {
    const sockets: (express.Request['socket'] & { parser?: unknown })[] = []
    const { hub, url } = await serve('letGo', {}, (req, res, next) => {
      sockets.push(req.socket)
      next()
      if (req.path === '/feeds/a') res.sse.open()
    })
    const streams = [await open(url, '/channels/a'), await open(url, '/feeds/a')]
    await vi.waitUntil(() => sockets.length === 2 && sockets.every(({ parser }) => parser === null), 10_000)
    expect((await streams[0]!.next()).event).toBe('hub.open')
    await hub.publish('a', 1)
    expect((await streams[0]!.next()).json()).toBe(1)
  })

  it('save a session before the stream opens', async () => {
    const sessions = session({ secret: 's', resave: false, saveUninitialized: false })
    const { url } = await serve('session', {}, sessions, (req, res, next) =>
      req.path === '/seen' ? void res.json((req as { session?: unknown }).session) : next(),
    )
    const stream = await open(url, '/inbox/events')
    expect((await stream.next()).event).toBe('hub.open')
    const [cookie] = stream.headers['set-cookie'] as string[]
    const seen = await fetch(`${url}/seen`, { headers: { cookie: cookie!.split(';')[0]! } })
    expect(await seen.json()).toMatchObject({ seen: expect.any(Number) })
  })

  it('run in Express 4 as CommonJS', async () => {
    const modules: Record<string, unknown> = { express: express4, 'express-sse-hub': library }
    const { app, hub } = new Function('require', 'requireUser', `${CJS}; return { app, hub }`)(
      (name: string) => modules[name],
      requireUser,
    )
    const url = await listen(app)
    const stream = await open(url, '/me/events', { headers: { 'x-user': '7' } })
    await stream.next()
    await hub.publish('user.7', 'hello')
    expect((await stream.next()).data).toBe('hello')
    expect((await open(url, '/me/events', { headers: { 'x-user': 'a+b' } })).status).toBe(400)
  })

  it('shut down', async () => {
    const port = await freePort()
    const board = APP.replace('export { app }', '').replace(
      'import { sse, ChannelHub }',
      'import { sse, ChannelHub, gracefulShutdown }',
    )
    write('shutdown.ts', `${board}\n${SHUTDOWN.replaceAll('3000', String(port))}\nconsole.log('ready')`)
    const { child } = await run('shutdown.ts')
    const stream = await open(`http://localhost:${port}`, '/channels/board')
    await stream.next()
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const closed = await stream.next()
    expect([closed.event, closed.json()]).toEqual(['hub.closed', { reason: 'shutdown' }])
    expect(stream.reconnectionTimeMs).toBeGreaterThanOrEqual(2_000)
    expect(await exited).toEqual([0, null])
  })

  it('follow the hub in a page', async () => {
    const app = express()
    const hub = new ChannelHub()
    app.use('/channels', hub.router({ channels: ['board'] }))
    app.get('/finished', sse(), (_req, res) => {
      res.sse.send('last')
      res.sse.finish()
    })
    const url = await listen(app)
    /** The page, but with another path to listen to. */
    function page(path: string) {
      const opened: EventSource[] = []
      const told = { show: vi.fn(), refetch: vi.fn(), say: vi.fn() }
      const code = IN_A_PAGE.replace('/channels/board', path)
      new Function('EventSource', ...Object.keys(told), code)(sourceAt(url, opened), ...Object.values(told))
      onTestFinished(() => opened[0]!.close())
      return { ...told, source: opened[0]! }
    }
    const first = page('/channels/board')
    await vi.waitFor(() => expect(first.refetch).toHaveBeenCalledTimes(1), { timeout: 15_000 })
    const { id } = await hub.publish('board', 'plain')
    await hub.publish('board', 'typed', { event: 'note' })
    await vi.waitFor(() => expect(first.show.mock.calls).toEqual([['plain'], ['typed']]), { timeout: 15_000 })

    const back = page(`/channels/board?lastEventId=${id}`)
    await vi.waitFor(() => expect(back.show.mock.calls).toEqual([['typed']]), { timeout: 15_000 })
    expect(back.refetch).not.toHaveBeenCalled()
    const gap = page('/channels/board?lastEventId=aaaaaa.1')
    await vi.waitFor(() => expect(gap.refetch).toHaveBeenCalledTimes(2), { timeout: 15_000 })

    hub.disconnect(() => true)
    await vi.waitFor(() => expect(first.say).toHaveBeenCalledWith('revoked'), { timeout: 15_000 })
    const finished = page('/finished')
    await vi.waitFor(() => expect(finished.source.readyState).toBe(EventSource.CLOSED), { timeout: 15_000 })
    expect(finished.show).toHaveBeenCalledWith('last')
    const refused = page('/channels/admin')
    await vi.waitFor(() => expect(refused.say).toHaveBeenCalledWith('refused'), { timeout: 15_000 })
  })
})

describe('its requests', () => {
  /** The output in the README, with what differs from run to run as it is there. */
  function alike(output: string, epoch: string): string {
    return output
      .replaceAll(epoch, 'k3f9a2')
      .replaceAll(/retry: \d+/g, 'retry: N')
      .trim()
  }

  it('are answered as it says', { timeout: 60_000 }, async () => {
    const { hub, url } = await serve('http')
    const first = await open(url, '/channels/news')
    const epoch = (await first.next()).id!.slice(0, 6)
    first.drop()
    let compared = 0
    for (const [i, { language, code }] of http.entries()) {
      if (language !== 'sh') continue
      const next = http[i + 1]!
      const expected = next.language === 'sh' ? undefined : next.code
      const lines = code.replaceAll('localhost:3000', url).trim().split('\n')
      for (const [j, line] of lines.entries()) {
        await vi.waitFor(() => expect(hub.stats().subscriptions).toBe(0), { timeout: 15_000 })
        const text = j === lines.length - 1 && next.language === 'text' ? alike(expected!, epoch) : undefined
        const output = await shell(line, (output) => text !== undefined && alike(output, epoch) === text)
        if (text !== undefined) {
          expect(alike(output, epoch)).toBe(text)
          compared++
          continue
        }
        const [, body, status] = /^([\s\S]*)\n(\d+)$/.exec(output)!
        const comment = /# (\d{3})$/.exec(line)
        if (comment !== null) expect([line, status]).toEqual([line, comment[1]])
        if (j === lines.length - 1 && next.language === 'json') {
          expect(JSON.parse(alike(body!, epoch))).toEqual(JSON.parse(expected!))
          compared++
        }
      }
    }
    expect(compared).toBe(http.filter(({ language }) => language !== 'sh').length)
  })
})

/** What stands under a heading, up to the next. */
function sectionOf(heading: string): string {
  return README.split(/^#{1,6} /m).find((part) => part.startsWith(`${heading}\n`))!
}

/** The rows of the tables under a heading, as cells. */
function rows(heading: string): string[][] {
  return [...sectionOf(heading).matchAll(/^\| (.+) \|$/gm)].map(([, row]) =>
    row!.split(/(?<!\\)\| ?/).map((cell) => cell.trim()),
  )
}

function numberIn(text: string): number {
  return Number(text.replaceAll(' ', ''))
}

/** The names of the options, as the message about one that does not exist lists them. */
function optionsOf(make: (options: never) => unknown): string[] {
  try {
    make({ noSuchOption: 1 } as never)
  } catch (error) {
    return /Its options: (.*)\.$/.exec((error as Error).message)![1]!.split(', ')
  }
  throw new Error('There is an option noSuchOption.')
}

const hub = new ChannelHub()
const TABLES: [heading: string, make: (options: never) => unknown][] = [
  ['`sse()`', (options) => sse(options)],
  ['`new ChannelHub()`', (options) => new ChannelHub(options)],
  ['`memoryBroker({ history, clock })`', (history) => memoryBroker({ history })],
  ['`hub.router()` and `hub.channel(name).router()`', (options) => hub.router(options)],
  [SQLITE_HEADING, (options) => sqlite.sqliteBroker(options)],
]

describe('its tables of options', () => {
  it.each(TABLES)('name every option of %s', (heading, make) => {
    const [, ...body] = rows(heading)
    const named = body.flatMap(([cell]) => /^`(\w+)`$/.exec(cell!)?.[1] ?? [])
    expect(named.sort()).toEqual(optionsOf(make).sort())
  })

  it.each(TABLES.slice(0, 3))('have the bounds of %s', (heading, make) => {
    let checked = 0
    for (const [name, , , bounds] of rows(heading)) {
      const match = /^(?:from )?([\d ]+?)(?: – ([\d ]+))?$/.exec(bounds ?? '')
      if (match === null) continue
      const option = name!.replaceAll('`', '')
      const [least, most] = [numberIn(match[1]!), match[2] === undefined ? undefined : numberIn(match[2])]
      expect(() => make({ [option]: least } as never), `${option} ${least}`).not.toThrow()
      expect(() => make({ [option]: least - 1 } as never), `${option} ${least - 1}`).toThrow(option)
      if (most === undefined) expect(() => make({ [option]: Number.MAX_SAFE_INTEGER } as never)).not.toThrow()
      else {
        expect(() => make({ [option]: most } as never), `${option} ${most}`).not.toThrow()
        expect(() => make({ [option]: most + 1 } as never), `${option} ${most + 1}`).toThrow(option)
      }
      checked++
    }
    expect(checked).toBeGreaterThan(2)
  })

  it('have the defaults', () => {
    const source = ['stream/options.ts', 'hub/options.ts', 'broker/retention.ts', 'express/router.ts']
      .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
      .join('')
      .replaceAll(/(?<=\d)_(?=\d)/g, '')
      .replaceAll('DEFAULT_RETRY_MS', '2000')
      .replaceAll('MIN_HIGH_WATER_MARK', '65536')
      .replaceAll('fallback.maxEvents', '1000')
    let checked = 0
    for (const [heading] of TABLES) {
      for (const [name, , fallback, , off] of rows(heading)) {
        const number = /^[\d ]+/.exec(fallback ?? '')?.[0].trim()
        const option = name!.replaceAll('`', '')
        if (number === undefined || option === 'maxAgeMs') continue
        expect(source).toMatch(new RegExp(`\\.?${option}'?\`?,\\s*[\\w.]+,\\s*${numberIn(number)},`))
        if (numberIn(number) === 0) expect(off).toBe('0')
        checked++
      }
    }
    expect(checked).toBe(16)
    expect(source).toContain('{ maxEvents: 1000, maxAgeMs: HOUR_MS }')
    const [, durability] = rows(SQLITE_HEADING).filter(([name]) => /^`(?:file|durability)`$/.test(name!))
    const options = readFileSync(join(ROOT, 'src/broker/sqlite/options.ts'), 'utf8')
    expect(options).toContain(`'durability', durability, ${durability![2]!.replaceAll('`', '')}, DURABILITIES`)
    expect(() => sqlite.sqliteBroker({} as never)).toThrow('file')
  })
})

describe('its tables of the API', () => {
  /** The members of a class that are not marked as internal. */
  function members(type: string, file: string): string[] {
    const source = readFileSync(join(ROOT, 'src', file), 'utf8')
    const body = source.slice(source.indexOf(`export class ${type}`)).split('\n}\n')[0]!
    const found = body.matchAll(/^ {2}(?:readonly |get |async )*(\w+|\[Symbol\.\w+\])(?:<.*>)?[(:?].*$/gm)
    return [...found].flatMap(({ 1: name, index }) => {
      const before = body.slice(0, index).trimEnd()
      const comment = before.endsWith('*/') ? before.slice(before.lastIndexOf('/**')) : ''
      return name === 'constructor' || comment.includes('@internal') ? [] : name!
    })
  }

  it.each([
    ['EventStream', 'stream/event-stream.ts', '`sse(options?)`', 14],
    ['ChannelHub', 'express/channel-hub.ts', '`new ChannelHub(options?)`', 12],
    ['Subscription', 'hub/subscription.ts', '`new ChannelHub(options?)`', 10],
  ])('name every member of %s', (type, file, heading, count) => {
    const named = rows(heading)
      .flatMap(([first, second]) => `${first} ${second}`.match(/`[^`]+`/g) ?? [])
      .map((code) => /^`(\w+|\[[\w.]+\])/.exec(code)?.[1])
    const all = members(type, file)
    expect(all).toHaveLength(count)
    for (const member of all) expect(named).toContain(member)
  })

  it.each([
    ['OpenStream', 'testing/open-stream.ts', 'Testing your routes'],
    ['HubEvents', 'hub/emitter.ts', '`new ChannelHub(options?)`'],
    ['LiveStats', 'hub/stats.ts', '`new ChannelHub(options?)`'],
    ['CountedStats', 'hub/stats.ts', '`new ChannelHub(options?)`'],
    ['ChannelHandle<Data = unknown>', 'express/channel-hub.ts', '`new ChannelHub(options?)`'],
    ['PublishReceipt', 'hub/publisher.ts', '`new ChannelHub(options?)`'],
    ['SubscribeOptions', 'hub/subscribe-request.ts', '`new ChannelHub(options?)`'],
    ['PublishOptions', 'hub/publisher.ts', '`new ChannelHub(options?)`'],
    ['SendOptions', 'stream/send.ts', '`sse(options?)`'],
    ['SourceOptions<T, Stream>', 'stream/source.ts', '`sse(options?)`'],
    ['StreamResult', 'stream/source.ts', '`sse(options?)`'],
    ['SourceOptions', 'client/options.ts', 'The client'],
    ['ConnectOptions<Channels = any> extends SourceOptions', 'client/options.ts', 'The client'],
    ['RetryOptions', 'client/options.ts', 'The client'],
    ['ConnectionEvents<Channels>', 'client/events.ts', 'The client'],
  ])('name every member of %s', (type, file, heading) => {
    const source = readFileSync(join(ROOT, 'src', file), 'utf8')
    const body = source.slice(source.indexOf(`export interface ${type} {`)).split('\n}\n')[0]!
    const all = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, name]) => name!)
    expect(all.length).toBeGreaterThan(2)
    const prose = sectionOf(heading).replaceAll(/```[\s\S]*?```/g, '')
    const code = prose.match(/`[^`]+`/g)!.join(' ')
    expect(all.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([])
  })

  it('name every export', () => {
    const exported = [...Object.keys(library), ...Object.keys(testing), ...Object.keys(sqlite)]
    expect(exported.filter((name) => !new RegExp(`\`(new )?${name}\\b`).test(README))).toEqual([])
    expect(Object.keys(testing).sort()).toEqual(['brokerContract', 'manualClock', 'openStream'])
  })
})

describe('its list of codes', () => {
  const codes = [...README.matchAll(/^### (ERR_SSE_\w+)\n\n(\d{3})/gm)]

  it('has a heading for every code of the sources, in order', () => {
    const source = readFileSync(join(ROOT, 'src/errors.ts'), 'utf8')
    const all = [...source.matchAll(/^ {2}(ERR_SSE_\w+): \[/gm)].map(([, code]) => code)
    expect(all.length).toBeGreaterThan(25)
    expect(codes.map(([, code]) => code)).toEqual(all)
  })

  it('has a row for every code of the client', () => {
    const source = readFileSync(join(ROOT, 'src/client/error.ts'), 'utf8')
    const all = [...source.matchAll(/^ {2}\| '(ERR_SSE_\w+)'/gm)].map(([, code]) => `\`${code}\``)
    expect(all.length).toBeGreaterThan(5)
    expect(rows('The client').map(([first]) => first)).toEqual(expect.arrayContaining(all))
  })

  it('has the status of each', () => {
    for (const [, code, status] of codes) {
      expect([code, new SseError(code as SseErrorCode, '').status]).toEqual([code, Number(status)])
    }
  })
})

it('names every event of a hub, and the data of each', () => {
  const notices = readFileSync(join(ROOT, 'src/hub/notice.ts'), 'utf8')
  const types = [...notices.matchAll(/notice\('(\w+)'/g)].map(([, type]) => `\`hub.${type}\``)
  expect(types).toHaveLength(4)
  const named = rows('GET `/channels/:channel`').map(([first]) => first)
  expect(named).toEqual(expect.arrayContaining([...types, '`hub.finished`']))
  for (const reason of ['trimmed', 'unknown-epoch', 'diverged', 'bad-cursor']) expect(named).toContain(`\`${reason}\``)
  expect(notices).toContain("type Fault = 'diverged' | 'unknown-epoch' | 'bad-cursor'")
})

describe('its table of limits', () => {
  /** For each row where the sources say the same: a file, and what is in it once digits are not grouped. */
  const SAID: Record<string, readonly [file: string, ...text: string[]]> = {
    'Channel name': ['channel-name.ts', 'MAX_LENGTH = 200'],
    'Event ID of your own': ['protocol/fields.ts', '{1,128}$/'],
    'Idempotency key': ['hub/publisher.ts', '[\\x20-\\x7e]{1,200}'],
    'Idempotency keys remembered': ['broker/idempotency.ts', 'KEY_LIFETIME_MS = 600000', 'MAX_KEYS = 100000'],
    'Conflation key': ['hub/publisher.ts', '{1,200}$/su'],
    'Encoded event': ['hub/options.ts', "'maxEventBytes', options.maxEventBytes, 1048576"],
    'Request body': ['express/router.ts', "'maxBodyBytes', options.maxBodyBytes, 1048576"],
    Batch: ['hub/publisher.ts', 'MAX_BATCH_EVENTS = 1000', 'MAX_BATCH_BYTES = 1048576'],
    'Channels of a subscription': ['hub/options.ts', 'maxChannelsPerSubscription, 64'],
    Rewind: ['hub/reads.ts', 'REWIND: PageLimit = { events: 1000, bytes: 1048576 }'],
    'History of a channel': ['broker/retention.ts', 'HOUR_MS = 3600000', '{ maxEvents: 1000, maxAgeMs: HOUR_MS }'],
    'History of a hub': ['broker/retention.ts', 'options.maxBytes, 67108864'],
    'Largest event that is kept': ['broker/history.ts', 'maxBytes / 16'],
    'Channel names remembered': ['broker/retention.ts', 'options.maxChannels, 100000'],
    'Newest events at hand for those a little behind': ['hub/log-tail.ts', 'MAX_EVENTS = 10000', '16 * 1024 * 1024'],
    'Commit of a SQLite log': ['broker/sqlite/commits.ts', 'MAX_EVENTS = 1000', 'MAX_BYTES = 1048576'],
    'Waiting for the disk of a SQLite log': ['broker/sqlite/commits.ts', 'MAX_WAITING_BYTES = 67108864'],
    'Lives of a SQLite log remembered': ['broker/sqlite/epochs.ts', 'MAX_EPOCHS = 4096'],
    'Waiting for another broker to let go of a SQLite log': ['broker/sqlite/lock.ts', 'PATIENCE_MS = 1000'],
    'Write-ahead log of a SQLite log': ['broker/sqlite/schema.ts', 'wal_autocheckpoint = 4000'],
    'Page of a replay': ['hub/reads.ts', 'PAGE: PageLimit = { events: 250, bytes: 65536 }'],
    'Reads of the log at a time': ['hub/reads.ts', 'MAX_IN_FLIGHT = 16'],
    'Replay before others get their turn': ['hub/pump.ts', 'ROUND_BYTES = 2 * 1024 * 1024', 'ROUND_MS = 5'],
    "Waiting for a hub stream's peer": ['hub/options.ts', 'MIN_HIGH_WATER_MARK = 65536'],
    'No progress of a lagging subscriber': ['hub/options.ts', 'options.maxLagMs, 30000'],
    "Waiting for a plain stream's peer": ['stream/options.ts', '1048576'],
    'First page from the broker': ['hub/subscription.ts', 'FIRST_PAGE_MS = 5000'],
    '`subscribe` function for a channel of a pattern': [
      'hub/guard.ts',
      'TIME_LIMIT_MS = 10000',
      'MAX_DECISIONS = 1000',
    ],
    'Rest of a stream that was ended, until it is cut': ['stream/event-stream.ts', 'LINGER_MS = 5000'],
    'Reconnection time': ['protocol/fields.ts', 'MIN_RECONNECTION_TIME = 500', 'MAX_RECONNECTION_TIME = 3600000'],
    '`Retry-After` of a 503': ['express/problem.ts', '2 + Math.floor(Math.random() * 4)'],
    'Ends per second at a shutdown, at least': ['hub/shutdown.ts', 'MIN_PER_SECOND = 500'],
  }

  it.each(rows('Limits').slice(1))('has the row %s as the sources do', (name, limit) => {
    if (name.startsWith('---')) return
    expect(Object.keys(SAID)).toContain(name)
    const [file, ...texts] = SAID[name]!
    const source = readFileSync(join(ROOT, 'src', file), 'utf8').replaceAll(/(?<=\d)_(?=\d)/g, '')
    for (const text of texts) expect(source).toContain(text)
    // And the numbers of the row are those of the text.
    const said = texts
      .join(' ')
      .replace(/= 600000\b/, '10 minutes')
      .replace('HOUR_MS = ', '')
      .replaceAll(/1024( \* 1024)?/g, '')
    const numbers = limit.replaceAll(/(?<=\d) (?=\d{3})/g, '').match(/\d+/g) ?? ['16']
    if (name !== '`Retry-After` of a 503') for (const number of numbers) expect(said).toContain(number)
  })

  it('has no row too few', () => {
    expect(rows('Limits').map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(SAID)))
  })
})
