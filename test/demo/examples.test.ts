import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStream } from '../../src/testing/index.ts'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { type Running, runScript } from '../support/script.ts'

// Each example as the README names it, against the server that it names. Those for browsers are in test/e2e.

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const EXAMPLES = join(ROOT, 'demo/examples')

let server: Running
let url: string
let proxy: CuttingProxy

beforeAll(async () => {
  server = runScript('demo/examples/server.ts', [], { PORT: '0' })
  url = await server.line()
  proxy = await cuttingProxy(Number(new URL(url).port))
}, 60_000)
afterAll(async () => {
  await proxy?.close()
  await server?.stop()
})

const exec = promisify(execFile)
const channel = () => `${url}/channels/board`

/** Runs a publisher to its end, and returns its output. */
async function publish(name: string, json: string, to = channel()): Promise<Record<string, unknown>> {
  const [command, ...args] = {
    'publish.sh': [join(EXAMPLES, 'publish.sh')],
    'publish.ts': [process.execPath, '--import', 'tsx', join(EXAMPLES, 'publish.ts')],
    'publish.py': ['python3', join(EXAMPLES, 'publish.py')],
  }[name]!
  const { stdout } = await exec(command!, [...args, json, to], { cwd: ROOT, timeout: 60_000 }).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    throw new Error(`${command} is not installed (Debian: apt-get install curl python3).`)
  })
  return JSON.parse(stdout)
}

describe.each(['publish.sh', 'publish.ts', 'publish.py'])('%s', (name) => {
  it('publishes its argument', async () => {
    await using stream = await openStream(url, '/channels/board')
    expect((await stream.next({ type: 'hub.open' })).event).toBe('hub.open')
    const receipt = await publish(name, '{"text":"é, from an example"}')
    expect(receipt).toMatchObject({ channel: 'board', duplicate: false })
    const event = await stream.next()
    expect(event).toMatchObject({ id: receipt['id'] })
    expect(event.json()).toEqual({ text: 'é, from an example' })
  })

  it('publishes once, however often its connection breaks', { timeout: 60_000 }, async () => {
    await using stream = await openStream(url, '/channels/board')
    // The answer to the first attempt is lost: the event is published, and the publisher cannot know it.
    const flaky = await losesFirstAnswers(url, 2)
    const receipt = await publish(name, '{"text":"once"}', `${flaky.url}/channels/board`)
    await flaky.close()
    expect(receipt).toMatchObject({ duplicate: true })
    await publish(name, '{"text":"after it"}')
    const heard: unknown[] = []
    while (heard.length < 2) {
      const event = await stream.next()
      if (!event.event?.startsWith('hub.')) heard.push(event.json())
    }
    expect(heard).toEqual([{ text: 'once' }, { text: 'after it' }])
  })

  it('fails when it is refused', async () => {
    await expect(publish(name, '{}', `${url}/channels/nowhere`)).rejects.toThrow()
  })
})

describe.each(['listen.sh', 'listen.ts'])('%s', (name) => {
  it('resumes at its position when its connection is cut', { timeout: 60_000 }, async () => {
    const listener =
      name === 'listen.sh'
        ? runScript(join(EXAMPLES, name), [`${proxy.url}/channels/board`])
        : runScript(join(EXAMPLES, name), [`${proxy.url}/channels`, 'board'])
    try {
      // Until there is a listener.
      while ((await post('{"n":0}')) === 0) await sleep(50)
      expect(await listener.line()).toBe('{"n":0}')
      for (let i = 1; i <= 4; i += 2) {
        proxy.cut()
        await post(`{"n":${i}}`)
        await post(`{"n":${i + 1}}`)
        expect(await listener.line()).toBe(`{"n":${i}}`)
        expect(await listener.line()).toBe(`{"n":${i + 1}}`)
      }
    } finally {
      await listener.stop()
    }
  })

  it('ends when it is refused', { timeout: 60_000 }, async () => {
    const args = name === 'listen.sh' ? [`${url}/channels/nowhere`] : [`${url}/channels`, 'nowhere']
    const listener = runScript(join(EXAMPLES, name), args)
    expect(await listener.exited).toBe(1)
  })
})

async function post(json: string): Promise<number> {
  const headers = { 'Content-Type': 'application/json' }
  const answer = await fetch(channel(), { method: 'POST', body: json, headers })
  return ((await answer.json()) as { localSubscribers: number }).localSubscribers
}

/** A hop that passes all requests on, and drops the first answers. */
async function losesFirstAnswers(to: string, count: number): Promise<{ url: string; close(): Promise<void> }> {
  let left = count
  const hop = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const headers = Object.fromEntries(
      ['content-type', 'idempotency-key'].map((header) => [header, String(req.headers[header])]),
    )
    const answer = await fetch(to + req.url, { method: 'POST', headers, body: Buffer.concat(chunks) })
    const text = await answer.text()
    if (left-- > 0) res.socket!.destroy()
    else res.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(text)
  })
  hop.listen(0, '127.0.0.1')
  await once(hop, 'listening')
  return {
    url: `http://127.0.0.1:${(hop.address() as AddressInfo).port}`,
    async close() {
      hop.closeAllConnections()
      hop.close()
    },
  }
}
