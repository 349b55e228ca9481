import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Beat, ConnectionNote, JobProgress, ServerInfo } from '../../demo/channels.ts'
import { type OpenStream, openStream } from '../../src/testing/index.ts'
import { type Demo, startDemo } from '../support/demo.ts'

let demo: Demo

beforeAll(async () => {
  demo = await startDemo()
})
afterAll(() => demo.stop())

interface Envelope {
  readonly channel: string
  readonly event?: string
  readonly data: unknown
}

let visitors = 0
/** A word that no other test uses. */
const newVisitor = () => `visitor${String(visitors++).padStart(12, '0')}`

const ask = (method: string, path: string, visitor: string, init: RequestInit = {}) =>
  fetch(`${demo.url}${path}?visitor=${visitor}`, { method, ...init })
const startJob = (visitor: string, kind: string, folder: string) =>
  ask('POST', '/jobs', visitor, {
    body: JSON.stringify({ kind, folder }),
    headers: { 'Content-Type': 'application/json' },
  })

/** The page of a visitor: its own channel, and the numbers. */
async function visit(visitor: string, at = demo): Promise<OpenStream> {
  const query = `visitor=${visitor}&channel=visitor.${visitor}&channel=ballast.${visitor}&channel=beat&channel=server&envelope=1`
  return openStream(at.url, `/channels?${query}`)
}

async function nextOf<T>(page: OpenStream, event: string): Promise<T> {
  for (;;) {
    const heard = (await page.next({ type: 'message' })).json() as { event?: string; data: T }
    if (heard.event === event) return heard.data
  }
}

async function nextBeats(page: OpenStream, count: number): Promise<number[]> {
  const numbers: number[] = []
  while (numbers.length < count) {
    const { channel, data } = (await page.next({ type: 'message' })).json() as Envelope
    if (channel === 'beat') numbers.push((data as Beat).n)
  }
  return numbers
}

const consecutive = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

describe('a visitor', { timeout: 60_000 }, () => {
  it('has a private channel', async () => {
    const visitor = newVisitor()
    for (const channel of [`visitor.${visitor}`, `ballast.${visitor}`, 'visitor.*', 'ballast.*']) {
      expect((await fetch(`${demo.url}/channels/${channel}`)).status).toBe(403)
      expect((await ask('GET', `/channels/${channel}`, newVisitor())).status).toBe(403)
    }
    expect((await ask('POST', `/channels/visitor.${visitor}`, visitor, { body: 'x' })).status).toBe(403)
    await using page = await visit(visitor)
    expect(page.status).toBe(200)
  })

  it('starts a job and hears how far it is', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    const { id } = (await (await startJob(visitor, 'sha256', 'src')).json()) as { id: string }
    const states: string[] = []
    for (;;) {
      const progress = await nextOf<JobProgress>(page, 'job')
      expect(progress).toMatchObject({ id, kind: 'sha256', folder: 'src' })
      states.push(progress.state)
      if (progress.state !== 'done') continue
      expect(progress.files).toBe(progress.totalFiles)
      expect(progress.says).toMatch(/^SHA-256 [0-9a-f]{64}$/)
      break
    }
    expect(states[0]).toBe('counting')
    expect((await ask('GET', `/jobs/${id}`, visitor)).status).toBe(404)
  })

  it('has one job at a time, which it alone sees and cancels', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    const { id } = (await (await startJob(visitor, 'gzip', 'node_modules')).json()) as { id: string }
    await nextOf(page, 'job')
    expect((await startJob(visitor, 'gzip', 'src')).status).toBe(409)
    for (const method of ['GET', 'DELETE']) expect((await ask(method, `/jobs/${id}`, newVisitor())).status).toBe(404)
    expect((await ask('GET', `/jobs/${id}`, visitor)).status).toBe(200)
    expect((await ask('DELETE', `/jobs/${id}`, visitor)).status).toBe(204)
    for (;;) {
      const { state } = await nextOf<JobProgress>(page, 'job')
      if (state === 'cancelled') break
      expect(['counting', 'running']).toContain(state)
    }
    await expect.poll(async () => (await startJob(visitor, 'sha256', 'test')).status).toBe(202)
  })

  it('starts no job over a folder of its choice, and only a few at a time', async () => {
    for (const [kind, folder] of [
      ['sha256', '..'],
      ['sha256', '/etc'],
      ['rm', 'src'],
    ] as const) {
      expect((await startJob(newVisitor(), kind, folder)).status).toBe(400)
    }
    const many = Array.from({ length: 4 }, newVisitor)
    const answers = await Promise.all(many.map((visitor) => startJob(visitor, 'gzip', 'node_modules')))
    expect(answers.map(({ status }) => status)).toContain(429)
    for (const [i, answer] of answers.entries()) {
      if (answer.status !== 202) continue
      const { id } = (await answer.json()) as { id: string }
      expect((await ask('DELETE', `/jobs/${id}`, many[i]!)).status).toBe(204)
    }
  })

  it('is read to from where it stopped, until it leaves', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    await page.next({ type: 'hub.open' })
    const reading = await openStream(demo.url, `/text?visitor=${visitor}`)
    const word = async () => (await reading.next({ type: 'message' })).json() as { text: string; of: number }
    expect(await word()).toMatchObject({ text: '# ' })
    expect(await word()).toMatchObject({ text: 'express-sse-hub\n\n' })
    await reading.reconnect()
    expect(await word()).toMatchObject({ text: 'Server-Sent ' })
    reading.drop()
    // Once for each time that it left.
    expect(await nextOf(page, 'text')).toMatchObject({ reason: 'closed', from: 0 })
    expect(await nextOf(page, 'text')).toMatchObject({ reason: 'closed', from: 2 })
  })

  it('receives the end of the text', async () => {
    const visitor = newVisitor()
    const first = await openStream(demo.url, `/text?visitor=${visitor}`)
    const { of } = (await first.next({ type: 'message' })).json() as { of: number }
    first.drop()
    await using rest = await openStream(demo.url, `/text?visitor=${visitor}`, { lastEventId: String(of - 2) })
    for (const id of [of - 1, of]) expect((await rest.next()).id).toBe(String(id))
    expect((await rest.next()).event).toBe('hub.finished')
  })
})

describe('breaking it', { timeout: 60_000 }, () => {
  it('acts only on the connection of the visitor that asks', async () => {
    const [one, two] = [newVisitor(), newVisitor()]
    const first = await visit(one)
    await using second = await visit(two)
    const [last] = (await nextBeats(first, 3)).slice(-1)
    await nextBeats(second, 1)
    expect((await ask('POST', '/break/cut', newVisitor())).status).toBe(404)
    expect((await ask('POST', '/break/cut', one)).status).toBe(202)
    await first.ended
    await first.reconnect()
    expect(await nextBeats(first, 10)).toEqual(consecutive(last! + 1, 10))
    const others = await nextBeats(second, 10)
    expect(others).toEqual(consecutive(others[0]!, 10))
    first.drop()
  })

  it('cannot be asked for by a page of another site, nor by a link', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    await nextBeats(page, 1)
    for (const path of ['/break/cut', '/break/restart', '/break/kill', '/jobs']) {
      const cross = await ask('POST', path, visitor, { headers: { 'Sec-Fetch-Site': 'cross-site' } })
      expect(cross.status).toBe(403)
      const old = await ask('POST', path, visitor, { headers: { Origin: 'http://evil.example' } })
      expect(old.status).toBe(403)
      expect((await ask('GET', path, visitor)).status).toBe(404)
    }
  })

  it('slows a connection until the hub serves it from the log, without losing a number', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    const numbers = await nextBeats(page, 1)
    expect((await ask('POST', '/break/slow', visitor)).status).toBe(202)
    expect((await ask('POST', '/break/slow', visitor)).status).toBe(409)
    const notes: string[] = []
    while (notes.at(-1) !== 'full speed') {
      const { channel, event, data } = (await page.next({ type: 'message' })).json() as Envelope
      if (channel === 'beat') numbers.push((data as Beat).n)
      if (event === 'connection') notes.push((data as ConnectionNote).what)
    }
    expect(notes[0]).toBe('lagging')
    expect(numbers).toEqual(consecutive(numbers[0]!, numbers.length))
  })

  it('keeps a stalled connection open, with nothing on it', async () => {
    const visitor = newVisitor()
    await using page = await visit(visitor)
    await nextBeats(page, 1)
    expect((await ask('POST', '/break/stall', visitor)).status).toBe(202)
    // What was on its way before that.
    for (;;)
      if (
        await page.next({ timeoutMs: 1_000 }).then(
          () => false,
          () => true,
        )
      )
        break
    const open = await Promise.race([page.ended.then(() => 'ended'), setTimeout(2_500, 'open')])
    expect(open).toBe('open')
    await page.reconnect()
    const numbers = await nextBeats(page, 30)
    expect(numbers).toEqual(consecutive(numbers[0]!, 30))
  })

  it.each(['restart', 'kill'])('continues with the same numbers on the same port after a %s', async (how) => {
    const own = await startDemo({ HUB_BROKER: `sqlite:${await mkdtemp(join(tmpdir(), 'demo-'))}/hub.db` })
    const visitor = newVisitor()
    const page = await visit(visitor, own)
    const [before] = await nextBeats(page, 1)
    const server = await openStream(own.url, '/channels/server?rewind=1')
    const { pid } = (await server.next({ type: 'message' })).json() as ServerInfo
    const answer = await fetch(`${own.url}/break/${how}?visitor=${visitor}`, { method: 'POST' })
    expect(answer.status).toBe(202)
    const numbers: number[] = []
    let next = before! + 1
    for (;;) {
      try {
        const { channel, data } = (await page.next({ type: 'message' })).json() as Envelope
        if (channel === 'beat') numbers.push((data as Beat).n)
        if (channel === 'server') {
          expect((data as ServerInfo).pid).not.toBe(pid)
          break
        }
      } catch {
        // Until there is a listener again.
        await setTimeout(50)
        await page.reconnect().catch(() => {})
      }
    }
    numbers.push(...(await nextBeats(page, 5)))
    for (const n of numbers) expect(n).toBe(next++)
    page.drop()
    server.drop()
    expect(await own.stop()).toBe(0)
    // The ready line is printed once.
    expect(own.output()).toBe(`${own.url}\n`)
  })

  it('offers a restart only to visitors of this machine, or as DEMO_RESTART allows', async () => {
    const offer = async (at: Demo, headers = {}) => (await fetch(`${at.url}/config`, { headers })).json()
    expect(await offer(demo)).toEqual({ mayRestart: true })
    const proxied = { 'X-Forwarded-For': '203.0.113.7' }
    expect(await offer(demo, proxied)).toEqual({ mayRestart: false })
    const refused = await ask('POST', '/break/kill', newVisitor(), { headers: proxied })
    expect(refused.status).toBe(403)
    const [anyone, nobody] = await Promise.all(['anyone', 'nobody'].map((DEMO_RESTART) => startDemo({ DEMO_RESTART })))
    expect(await offer(anyone!, proxied)).toEqual({ mayRestart: true })
    expect(await offer(nobody!)).toEqual({ mayRestart: false })
    expect(await Promise.all([anyone!.stop(), nobody!.stop()])).toEqual([0, 0])
  })
})
