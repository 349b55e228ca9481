import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const exec = promisify(execFile)

/** Outside of the repository, so that a consumer finds only the packages that it was given. */
const TEMP = mkdtempSync(join(tmpdir(), 'express-sse-hub-'))
/** A copy to build and pack in: `dist` of the repository is not touched while other tests run. */
const COPY = join(TEMP, 'copy')
const TARBALL = `express-sse-hub-${JSON.parse(read('package.json')).version}.tgz`
const MAJORS = ['5', '4'] as const

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

function link(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules', from), to)
}

/** The folder of an application that has installed the package beside one major of Express. */
function folderOf(major: (typeof MAJORS)[number]): string {
  return join(TEMP, `express-${major}`)
}

async function install(major: (typeof MAJORS)[number]): Promise<void> {
  const modules = join(folderOf(major), 'node_modules')
  mkdirSync(modules, { recursive: true })
  link(major === '4' ? 'express-4' : 'express', join(modules, 'express'))
  link(major === '4' ? 'types-express-4' : '@types/express', join(modules, '@types/express'))
  link('@types/node', join(modules, '@types/node'))
  link('eventsource-parser', join(modules, 'eventsource-parser'))
  // Optional. Without it the package has to load as well.
  if (major === '5') link('better-sqlite3', join(modules, 'better-sqlite3'))
  await exec('tar', ['-xzf', join(TEMP, TARBALL), '-C', modules])
  cpSync(join(modules, 'package'), join(modules, 'express-sse-hub'), { recursive: true })
  rmSync(join(modules, 'package'), { recursive: true })
}

/** The declarations for `require`, one for each entry point. */
function requireTypes(): string[] {
  const { exports } = JSON.parse(read('package.json'))
  return Object.values<{ types?: { require: string } }>(exports).flatMap(({ types }) => types?.require.slice(2) ?? [])
}

/** What the tarball of the package holds. */
let packed: string[]

beforeAll(async () => {
  mkdirSync(COPY)
  for (const name of ['src', '.ci', 'package.json', 'tsconfig.json', 'tsconfig.build.json', ...documents()])
    cpSync(join(ROOT, name), join(COPY, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(COPY, 'node_modules'))
  // npm pack builds on its own, so the published files are built from these sources.
  await exec('npm', ['pack', '--offline', '--pack-destination', TEMP], { cwd: COPY })
  const { stdout } = await exec('tar', ['-tzf', join(TEMP, TARBALL)])
  packed = stdout
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''))
  await Promise.all(MAJORS.map(install))
}, 60_000)

afterAll(() => rmSync(TEMP, { recursive: true, force: true }))

function documents(): string[] {
  return readdirSync(ROOT).filter((name) => /^(README|LICENSE|CHANGELOG|CONTRIBUTING)/.test(name))
}

describe('the package', () => {
  it('contains the built code and the documents', () => {
    const others = packed.filter((path) => !path.startsWith('dist/')).sort()
    const readmes = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('README.md'))
      .map((path) => `src/${path}`)
    expect(others).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', ...readmes].sort())
    expect(packed.filter((path) => !/\.(js|js\.map|d\.c?ts|md|json)$/.test(path) && path !== 'LICENSE')).toEqual([])
  })

  it('holds the code, the types and the source map of every source, and types of every entry point for require', () => {
    const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `dist/${path.replace(/\.ts$/, '')}`)
    expect(packed.filter((path) => path.startsWith('dist/')).sort()).toEqual(
      [...sources.flatMap((path) => [`${path}.d.ts`, `${path}.js`, `${path}.js.map`]), ...requireTypes()].sort(),
    )
  })

  it('has source maps that contain their sources', () => {
    const dist = join(folderOf('5'), 'node_modules/express-sse-hub/dist')
    for (const file of packed.filter((path) => path.endsWith('.js.map'))) {
      const map = JSON.parse(readFileSync(join(dist, '..', file), 'utf8'))
      const source = read(file.replace(/^dist/, 'src').replace(/js\.map$/, 'ts'))
      expect(map.sourcesContent, file).toEqual([source])
      expect(readFileSync(join(dist, '..', file.slice(0, -4)), 'utf8')).toContain(`sourceMappingURL=${basename(file)}`)
    }
  })

  it('names its repository, where to report a bug, and its author', () => {
    const { repository, bugs, homepage, author } = JSON.parse(read('package.json'))
    expect(repository.url).toMatch(/^git\+https:\/\/github\.com\/[\w-]+\/express-sse-hub\.git$/)
    const url = repository.url.slice(4, -4)
    expect([homepage, bugs.url]).toEqual([`${url}#readme`, `${url}/issues`])
    expect(author).toMatch(/\S/)
  })

  it('has scripts that run in the shells of Linux, macOS and Windows', () => {
    for (const [name, script] of Object.entries<string>(JSON.parse(read('package.json')).scripts)) {
      // What cmd.exe does not know: the tools and builtins of a POSIX shell, variables, and single quotes around words.
      expect(script.replaceAll(/"[^"]*"/g, ''), name).not.toMatch(
        /\b(exec|rm|cp|mv|mkdir|export|cross-env)\b|[$'`;]|^\w+=/,
      )
    }
  })
})

/** An application in one file: it subscribes, publishes by POST, reconnects, and closes everything. */
function application(load: (names: string, from: string) => string): string {
  return `
${load('{ strictEqual }', 'node:assert')}
${load('{ once }', 'node:events')}
${load('express', 'express')}
${load('{ ChannelHub, isSseError, memoryBroker, problemHandler, SseError, sse, eventStream }', 'express-sse-hub')}
${load('{ openStream, manualClock }', 'express-sse-hub/testing')}
${load('{ sqliteBroker }', 'express-sse-hub/sqlite')}
${load('{ redisBroker }', 'express-sse-hub/redis')}
${load('{ connect }', 'express-sse-hub/client')}
${load('{ withPolling }', 'express-sse-hub/client/polling')}
${load('{ connectShared }', 'express-sse-hub/client/shared')}

async function main() {
  const { version } = require_('express/package.json')
  const app = express()
  const hub = new ChannelHub({ broker: memoryBroker({ history: { maxEvents: 10 } }) })
  app.use(sse())
  app.use('/channels', hub.router({ channels: ['board'], publish: 'anyone' }))
  app.get('/one', (req, res) => {
    res.sse.send({ one: 1 })
    res.sse.finish()
  })
  app.get('/refused', (req, res) => {
    throw new SseError('ERR_SSE_CHANNEL_UNKNOWN', 'No such thing.')
  })
  app.use(problemHandler())
  const server = app.listen(0)
  await once(server, 'listening')
  const url = 'http://127.0.0.1:' + server.address().port

  const post = async (text) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await openStream(url, '/channels/board', { body: JSON.stringify({ text }), headers })
    strictEqual(answer.status, 201)
    return JSON.parse(answer.text()).id
  }
  const stream = await openStream(url, '/channels/board')
  strictEqual((await stream.next()).event, 'hub.open')
  await post('first')
  strictEqual((await stream.next()).json().text, 'first')
  stream.drop()
  const missed = await post('missed')
  await stream.reconnect()
  strictEqual((await stream.next({ type: 'hub.open' })).json().resumed, true)
  const event = await stream.next()
  strictEqual(event.id, missed)
  strictEqual(event.json().text, 'missed')

  const connection = connect(url + '/channels', { channels: ['board'], rewind: 1 })
  for await (const item of connection) {
    strictEqual(item.data.text, 'missed')
    connection.close()
  }
  strictEqual((await connection.closed).reason, 'closed')
  strictEqual(typeof connectShared, 'function')
  strictEqual(typeof withPolling, 'function')

  const one = await openStream(url, '/one')
  strictEqual((await one.next()).json().one, 1)
  strictEqual((await one.next()).event, 'hub.finished')
  const refused = await openStream(url, '/refused')
  strictEqual(refused.status, 404)
  strictEqual(JSON.parse(refused.text()).code, 'ERR_SSE_CHANNEL_UNKNOWN')
  strictEqual(isSseError(new SseError('ERR_SSE_CHANNEL_UNKNOWN', '')), true)
  strictEqual(typeof eventStream, 'function')
  strictEqual(manualClock().pendingTimers, 0)
  strictEqual(typeof redisBroker, 'function')

  const file = process.argv[1] + '.db'
  const { id: after } = await withLog(file, (hub) => hub.publish('news', 'first')).catch((error) => error)
  if (after !== undefined) {
    await withLog(file, (hub) => hub.publish('news', 'second'))
    await withLog(file, async (hub) => {
      for await (const { data } of hub.events('news', { after })) return strictEqual(data, 'second')
    })
  } else {
    strictEqual(/^5/.test(version) || process.getBuiltinModule?.('node:sqlite') !== undefined, false)
  }

  server.close()
  await hub.close()
  strictEqual((await stream.next()).event, 'hub.closed')
  console.log('express ' + version)
}

/** What a process does with a log on a disk, between its start and its end. */
async function withLog(file, fn) {
  const hub = new ChannelHub({ broker: sqliteBroker({ file }) })
  try {
    await hub.ready()
    return await fn(hub)
  } finally {
    await hub.close()
  }
}
main()
`
}

describe.concurrent('an application that has installed it', { timeout: 60_000 }, () => {
  // It ends on its own: the library keeps no process alive after the hub and the server are closed.
  async function run(major: (typeof MAJORS)[number], file: string, source: string): Promise<void> {
    const path = join(folderOf(major), file)
    writeFileSync(path, source)
    const { stdout, stderr } = await exec(process.execPath, [path], { timeout: 30_000 })
    expect(stdout).toMatch(new RegExp(`^express ${major}\\.\\d+\\.\\d+\\n$`))
    expect(stderr).toBe('')
  }

  it.each(MAJORS)('runs as an ES module with Express %s', async (major) => {
    const esm = application((names, from) => `import ${names} from '${from}'`)
    await run(
      major,
      'app.mjs',
      `import { createRequire } from 'node:module'\n${esm}`.replace(/require_\(/, 'createRequire(import.meta.url)('),
    )
  })

  it.each(MAJORS)('runs as CommonJS with Express %s', async (major) => {
    const cjs = application((names, from) => `const ${names} = require('${from}')`)
    await run(major, 'app.cjs', `'use strict'\n${cjs.replace(/require_\(/, 'require(')}`)
  })
})

describe.concurrent('a bundle that esbuild makes of an application', { timeout: 60_000 }, () => {
  it.each(['esm', 'cjs'] as const)('runs as one file, in the format %s', async (format) => {
    const folder = folderOf('5')
    const entry = join(folder, `bundled-${format}.mjs`)
    writeFileSync(
      entry,
      `
import { strictEqual } from 'node:assert'
import express from 'express'
import { ChannelHub, sse } from 'express-sse-hub'
import { connect } from 'express-sse-hub/client'
import { openStream } from 'express-sse-hub/testing'

const hub = new ChannelHub()
const app = express().use(sse()).use('/channels', hub.router({ channels: ['board'], publish: 'anyone' }))
openStream(app, '/channels/board').then(async (stream) => {
  await hub.publish('board', { text: 'hi' })
  strictEqual((await stream.next({ type: 'message' })).json().text, 'hi')
  strictEqual(typeof connect, 'function')
  await hub.close()
  await stream[Symbol.asyncDispose]()
  console.log('done')
})
`,
    )
    const outfile = join(folder, `bundle-${format}.${format === 'esm' ? 'mjs' : 'cjs'}`)
    const external = ['express']
    const { warnings } = await build({
      entryPoints: [entry],
      outfile,
      format,
      bundle: true,
      platform: 'node',
      external,
    })
    expect(warnings).toEqual([])
    expect(await exec(process.execPath, [outfile], { timeout: 30_000 })).toEqual({ stdout: 'done\n', stderr: '' })
  })
})

describe('two copies of the package in one process', () => {
  it('share streams, subscriptions, patterns, errors and test clients', { timeout: 60_000 }, async () => {
    const folder = folderOf('5')
    cpSync(join(folder, 'node_modules/express-sse-hub'), join(folder, 'node_modules/copy'), { recursive: true })
    const path = join(folder, 'copies.mjs')
    writeFileSync(
      path,
      `
import { notStrictEqual, strictEqual } from 'node:assert'
import express from 'express'
import * as one from 'express-sse-hub'
import * as two from 'copy'
import { openStream } from 'copy/testing'

notStrictEqual(one.SseError, two.SseError)
strictEqual(two.isSseError(new one.SseError('ERR_SSE_REWIND', 'x')), true)
const hub = new two.ChannelHub()
const app = express()
app.use(one.sse(), two.sse({ retryMs: 600 }))
app.get('/pattern', (req, res) => hub.subscribe(res.sse, one.pattern('user.*')))
app.use('/channels', hub.router({ channels: ['board'] }))
app.get('/refused', () => {
  throw new one.SseError('ERR_SSE_CHANNEL_UNKNOWN', 'x')
})
app.use(two.problemHandler())

const listener = await openStream(app, '/pattern')
const board = await openStream(app, '/channels/board')
await hub.publish('user.7', 'for user 7')
await hub.publish('board', 'for everyone')
strictEqual((await listener.next({ type: 'message' })).data, 'for user 7')
strictEqual((await board.next({ type: 'message' })).data, 'for everyone')
const refused = await openStream(app, '/refused')
strictEqual(refused.status, 404)
await hub.close()
for (const stream of [listener, board, refused]) await stream[Symbol.asyncDispose]()
console.log('done')
`,
    )
    expect(await exec(process.execPath, [path], { timeout: 30_000 })).toEqual({ stdout: 'done\n', stderr: '' })
  })
})

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  // The compiler's own files are not in question, and are most of the work.
  skipDefaultLibCheck: true,
  lib: ['ES2022'],
  noEmit: true,
  target: 'ES2022',
  module: 'NodeNext',
  types: ['node'],
}

const CONSUMER = `
import express from 'express'
import { ChannelHub, eventStream, isSseError, memoryBroker, problemHandler, sse } from 'express-sse-hub'
import type { Broker, EventStream, HubStats, RouterOptions, SseErrorCode, SseOptions, Subscription } from 'express-sse-hub'
import { connect, type Connection } from 'express-sse-hub/client'
import { withPolling } from 'express-sse-hub/client/polling'
import { connectShared } from 'express-sse-hub/client/shared'
import { manualClock, openStream } from 'express-sse-hub/testing'
import { redisBroker, type RedisBroker } from 'express-sse-hub/redis'
import { sqliteBroker, type SqliteBroker } from 'express-sse-hub/sqlite'

const app = express()
const options: SseOptions = { clock: manualClock(), onError: undefined }
const broker: Broker = memoryBroker()
const hub = new ChannelHub<{ news: { title: string } }>({ broker })
const log: SqliteBroker = sqliteBroker({ file: 'hub.db', history: { maxEvents: 10 }, durability: undefined })
void log.backup('copy.db')
const fleet: RedisBroker = redisBroker({ client: { duplicate: () => ({}) }, prefix: 'a' })
console.log(fleet.stats().state)
app.use(sse(options))
app.use('/channels', hub.router({ channels: ['news'], publish: (req) => req.ip !== undefined }))
app.get('/clock', (req, res) => {
  const stream: EventStream = res.sse
  stream.open().send({ now: Date.now() }, { event: req.get('x-event') })
})
app.get('/me', async (_req, res) => {
  const subscription: Subscription = await hub.subscribe(res.sse, 'news', { rewind: 1 })
  console.log(subscription.id)
})
app.use(problemHandler())
// @ts-expect-error wrong data
hub.publish('news', { headline: 'Hello' })
const connection: Connection<{ news: { title: string } }> = connect('/channels/news')
connection.on('event', ({ data }) => console.log(data.title))
const stats: HubStats = hub.stats()
hub.on('refused', ({ code }) => void (code satisfies SseErrorCode))
const routerOptions: RouterOptions = { channels: undefined }
export { connectShared, withPolling, stats, routerOptions, eventStream, isSseError, openStream }
`

describe('a strict TypeScript application that has installed it', () => {
  it.each(MAJORS)('compiles without skipLibCheck with @types/express %s', { timeout: 60_000 }, async (major) => {
    const folder = folderOf(major)
    writeFileSync(join(folder, 'consumer.mts'), CONSUMER)
    writeFileSync(join(folder, 'consumer.cts'), CONSUMER)
    const files = ['consumer.mts', 'consumer.cts']
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT, files }))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout } = await exec(process.execPath, [tsc, '-p', folder], { cwd: folder }).catch((error) => error)
    expect(stdout).toBe('')
  })

  it.each([
    ['node10', { module: 'CommonJS', moduleResolution: 'node10', ignoreDeprecations: '6.0', esModuleInterop: true }],
    ['node16, in a project without "type": "module",', { module: 'node16' }],
    ['node18, in a project without "type": "module",', { module: 'node18' }],
    ['bundler', { module: 'ESNext', moduleResolution: 'bundler' }],
  ])('resolves every entry point with moduleResolution %s', { timeout: 60_000 }, async (name, options) => {
    const folder = join(folderOf('5'), name.slice(0, 7))
    mkdirSync(folder)
    writeFileSync(join(folder, 'consumer.ts'), CONSUMER)
    const compilerOptions = { ...STRICT, ...options }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout } = await exec(process.execPath, [tsc, '-p', folder], { cwd: folder }).catch((error) => error)
    expect(stdout).toBe('')
  })

  it('sees declarations that refer to nothing outside of the package but its peer', () => {
    const dist = join(folderOf('5'), 'node_modules/express-sse-hub/dist')
    const foreign = new Set<string>()
    for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.d.ts')) continue
      for (const [, from] of readFileSync(join(dist, file), 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
        if (!from!.startsWith('.')) foreign.add(from!)
        else expect(relative(dist, join(dist, dirname(file), from!))).not.toMatch(/^\.\./)
      }
    }
    expect([...foreign].filter((name) => !name.startsWith('node:')).sort()).toEqual(['express'])
  })
})
