import { once } from 'node:events'
import { appendFile, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_BROKER } from '../../demo/broker.ts'
import { openStream } from '../../src/testing/index.ts'
import { type Demo, runDemo, startDemo } from '../support/demo.ts'

let folder: string
let file: string
let demo: Demo

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demo-'))
  file = join(folder, 'app.log')
  await writeFile(file, 'before it began\n')
  demo = await startDemo({ LOG_FILE: file })
})
afterAll(async () => {
  await demo.stop()
  await rm(folder, { recursive: true })
})

const post = (channel: string, body: string) =>
  fetch(`${demo.url}/channels/${channel}`, { method: 'POST', body, headers: { 'Content-Type': 'text/plain' } })

// Each start is two processes, which other work on the machine may slow down.
describe('the demo', { timeout: 60_000 }, () => {
  it('is ready when it prints its one line', async () => {
    expect((await fetch(`${demo.url}/healthz`)).status).toBe(200)
    expect(demo.output()).toMatch(/^http:\/\/localhost:\d+\n$/)
  })

  it('serves a page that may load nothing from elsewhere', async () => {
    const page = await fetch(demo.url)
    const policy = page.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    const html = await page.text()
    for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect((await fetch(`${demo.url}/${path}`)).status).toBe(200)
    }
    expect(html).not.toMatch(/<script>|<style|style=| on\w+=|https?:/)
    // Nor do the styles.
    expect(await (await fetch(`${demo.url}/page.css`)).text()).not.toMatch(/url\(|https?:/)
  })

  it('takes what visitors say on the board, and nothing else', async () => {
    await using board = await openStream(demo.url, '/channels/board')
    await board.next({ type: 'hub.open' })
    expect((await post('board', 'hello')).status).toBe(201)
    expect((await board.next({ type: 'message' })).data).toBe('hello')
    expect((await post('board.room1', 'x')).status).toBe(201)
    for (const channel of ['machine', 'requests', 'log']) expect((await post(channel, 'x')).status).toBe(403)
    expect((await post('other', 'x')).status).toBe(404)
  })

  it('measures the machine twice a second', async () => {
    await using machine = await openStream(demo.url, '/channels/machine')
    for (let i = 0; i < 2; i++) {
      const sample = (await machine.next({ type: 'message' })).json() as Record<string, number> & {
        eventLoopDelay: { p50: number; p99: number }
      }
      expect(sample['cpuPercent']).toBeGreaterThanOrEqual(0)
      expect(sample['cpuPercent']).toBeLessThanOrEqual(100)
      expect(sample['memoryUsedBytes']).toBeGreaterThan(1_000_000)
      expect(sample['memoryUsedBytes']).toBeLessThan(sample['memoryTotalBytes']!)
      expect(sample.eventLoopDelay.p99).toBeGreaterThanOrEqual(sample.eventLoopDelay.p50)
    }
  })

  it('logs its own requests, without their queries', async () => {
    await using requests = await openStream(demo.url, '/channels/requests')
    await requests.next({ type: 'hub.open' })
    await fetch(`${demo.url}/nowhere?secret=1`)
    for (;;) {
      const event = await requests.next({ type: 'message' })
      const line = event.json() as { path: string }
      expect(event.data).not.toContain('secret')
      if (line.path !== '/nowhere') continue
      expect(line).toMatchObject({ method: 'GET', status: 404, ms: expect.any(Number) })
      break
    }
  })

  it('follows its own log when no file is named', async () => {
    const own = await startDemo({ LOG_FILE: '' })
    await using log = await openStream(own.url, '/channels/log?rewind=10')
    expect((await log.next({ type: 'message' })).data).toMatch(/started on port \d+, log of the hub: memory$/)
    await using _board = await openStream(own.url, '/channels/board')
    for (;;) if ((await log.next({ type: 'message' })).data.endsWith('a visitor connected')) break
    expect(await own.stop()).toBe(0)
  })

  it('counts the readers of the board', async () => {
    await using readers = await openStream(demo.url, '/channels/readers')
    await readers.next({ type: 'hub.open' })
    const count = async () => (await readers.next({ type: 'message' })).json()
    const one = await openStream(demo.url, '/channels/board')
    expect(await count()).toEqual({ board: 1 })
    await using _two = await openStream(demo.url, '/channels?channel=board&channel=machine')
    expect(await count()).toEqual({ board: 2 })
    one.drop()
    expect(await count()).toEqual({ board: 1 })
  })

  it('follows a file across both kinds of rotation', async () => {
    await using log = await openStream(demo.url, '/channels/log')
    await log.next({ type: 'hub.open' })
    const next = async () => (await log.next({ type: 'message' })).data
    await appendFile(file, 'one\ntw')
    expect(await next()).toBe('one')
    await appendFile(file, 'o ö\n')
    expect(await next()).toBe('two ö')
    await rename(file, `${file}.1`)
    await writeFile(file, 'after rename\n')
    expect(await next()).toBe('after rename')
    await truncate(file)
    await appendFile(file, 'cut\n')
    expect(await next()).toBe('cut')
  })

  it('reports a mistake in its environment, and ends', async () => {
    for (const env of [
      { HUB_BROKER: 'carrier-pigeon' },
      { PORT: 'x' },
      { PORT: String(demo.port) },
      { LOG_FILE: folder },
      { DEMO_RESTART: 'always' },
      { HUB_BROKER: `sqlite:${file}` },
    ]) {
      const child = runDemo(env)
      const [[code], said] = await Promise.all([once(child, 'exit'), text(child.stderr!)])
      expect(code).toBe(1)
      expect(said).toContain(env.HUB_BROKER?.startsWith('sqlite:') ? 'not a SQLite database' : Object.values(env)[0])
      // A sentence, and no stack.
      expect(said).toMatch(/^.+\n$/)
    }
  })

  it('loses nothing when it is started again, with its log in a file', async () => {
    const env = { HUB_BROKER: `sqlite:${join(folder, 'new', 'hub.db')}` }
    const first = await startDemo(env)
    const say = (at: Demo, body: string) =>
      fetch(`${at.url}/channels/board`, { method: 'POST', body, headers: { 'Content-Type': 'text/plain' } })
    await using before = await openStream(first.url, '/channels/board')
    const { id } = await before.next({ type: 'hub.open' })
    for (const text of ['a', 'b', 'c']) expect((await say(first, text)).status).toBe(201)
    await before.next({ type: 'message' })
    first.process.kill('SIGKILL')
    expect(await first.stop()).toBeNull()
    const second = await startDemo(env)
    await using after = await openStream(second.url, '/channels/board', { lastEventId: id })
    expect((await after.next({ type: 'hub.open' })).json()).toMatchObject({ resumed: true })
    for (const text of ['a', 'b', 'c']) expect((await after.next()).data).toBe(text)
    expect(await second.stop()).toBe(0)
  })

  it('has its variables and their defaults in its README', async () => {
    const readme = await readFile('demo/README.md', 'utf8')
    const app = await readFile('demo/app.ts', 'utf8')
    const [, names] = /const \{ (.*) \} = process\.env/.exec(app)!
    const defaults = names!.split(', ').map((one) => one.split(' = '))
    expect(defaults.map(([name]) => name)).toEqual(['HUB_BROKER', 'DEMO_LOG', 'DEMO_RESTART', 'PORT'])
    for (const [name, value] of defaults) {
      const row = new RegExp(`^\\| \`${name}\` .*\\| \`?(.+?)\`? \\|$`, 'm').exec(readme)
      expect(row?.[1], name).toBe(value === 'DEFAULT_BROKER' ? DEFAULT_BROKER : value!.slice(1, -1))
    }
  })

  it('keeps its log in a file if nothing else is said', () => {
    expect(DEFAULT_BROKER).toBe('sqlite:./data/hub.db')
  })

  it('drains on SIGTERM: sends hub.closed to every stream, ends them, and exits with 0', async () => {
    const own = await startDemo()
    await using stream = await openStream(own.url, '/channels/board')
    await stream.next({ type: 'hub.open' })
    const stopped = own.stop()
    expect((await stream.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'shutdown' })
    expect(await stopped).toBe(0)
    expect(own.output()).toBe(`${own.url}\n`)
  })
})
