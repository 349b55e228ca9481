import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisBroker } from '../../src/broker/redis/index.ts'
import { ChannelHub } from '../../src/index.ts'
import { documentAt } from '../readme/documents.ts'
import { REDIS_MISSING, RedisServer } from '../support/redis-server.ts'
import { runScript } from '../support/script.ts'

// The writers in other languages, as the README names them, against a hub that takes what they write.

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const EXAMPLES = join(ROOT, 'demo/examples/redis')
const exec = promisify(execFile)
const TITLE = 'The log of a fleet: `redisBroker()`'

/** How each is run, how to see whether that is possible here, and what to install. */
const WRITERS: Record<string, [command: string, args: string[], probe: string[], install: string]> = {
  'publish.sh': [join(EXAMPLES, 'publish.sh'), [], ['redis-cli', '--version'], 'redis-tools'],
  'publish.py': [
    '/usr/bin/python3',
    [join(EXAMPLES, 'publish.py')],
    ['/usr/bin/python3', '-c', 'import redis'],
    'python3-redis',
  ],
  'publish.php': [
    'php',
    [join(EXAMPLES, 'publish.php')],
    ['php', '-r', 'exit(class_exists("Redis") ? 0 : 1);'],
    'php-cli php-redis',
  ],
  'publish.go': ['go', ['run', join(EXAMPLES, 'publish.go')], ['go', 'version'], 'golang'],
}

describe.skipIf(REDIS_MISSING)('a writer', () => {
  let server: RedisServer
  let hub: ChannelHub
  beforeAll(async () => {
    server = await RedisServer.start()
    hub = new ChannelHub({ broker: redisBroker({ client: createClient({ url: server.url }), ingest: true }) })
    await hub.ready()
  })
  afterAll(async () => {
    await hub?.close({ timeoutMs: 1_000 })
    await server?.stop()
  })

  it.each(Object.keys(WRITERS))('%s publishes its argument', { timeout: 120_000 }, async (name) => {
    const [command, args, [probe, ...given], install] = WRITERS[name]!
    if (
      !(await exec(probe!, given).then(
        () => true,
        () => false,
      ))
    ) {
      console.warn(`Skipped: demo/examples/redis/${name} cannot run here (Debian: apt-get install ${install}).`)
      return
    }
    const { id: after } = await hub.publish('board', 'before')
    const reader = hub.events('board', { after })
    const next = reader.next()
    const to = name === 'publish.go' ? `127.0.0.1:${server.port}` : server.url
    const { stdout } = await exec(command, [...args, '{"text":"é, from an example"}', to], { timeout: 100_000 })
    expect(stdout.trim()).toMatch(/^\d+-\d+$/)
    expect((await next).value).toMatchObject({ channel: 'board', data: { text: 'é, from an example' } })
    await reader.return!()
  })

  it('the commands of the README start two nodes, and one hears what is published on the other', {
    timeout: 60_000,
  }, async () => {
    const commands = documentAt('src/broker/redis/README.md').take(TITLE, 'sh').trim().split('\n')
    expect(commands[0]).toBe("redis-server --save '' --port 6379 &")
    const script = 'PORT=3001 npx tsx demo/examples/redis/node.ts & PORT=3002 npx tsx demo/examples/redis/node.ts &'
    expect(commands[1]).toBe(script)
    const env = { PORT: '0', REDIS_URL: server.url }
    const nodes = [1, 2].map(() => runScript(join(EXAMPLES, 'node.ts'), [], env))
    try {
      const [one, other] = await Promise.all(nodes.map((node) => node.line()))
      const [listen, publish] = commands[2]!
        .replace('localhost:3001', one!)
        .replace('localhost:3002', other!)
        .split(' & ')
      const listener = exec('bash', ['-c', `timeout 5 ${listen} || true`])
      let heard = ''
      listener.child.stdout!.on('data', (text) => (heard += text))
      await expect.poll(() => heard, { timeout: 10_000 }).toContain('hub.open')
      await exec('bash', ['-c', publish!])
      await expect.poll(() => heard, { timeout: 5_000 }).toContain('data: {"text":"hi"}')
      await listener
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  })

  it('bridge.ts gives the messages of PUBLISH an ID and a place in the history', { timeout: 60_000 }, async () => {
    const bridge = runScript(join(EXAMPLES, 'bridge.ts'), [server.url, 'old'])
    try {
      expect(await bridge.line()).toBe('bridging old')
      const reader = hub.events('old', { rewind: 10 })
      const next = reader.next()
      await server.command('PUBLISH', 'old', 'hello')
      expect((await next).value).toMatchObject({ channel: 'old', data: 'hello' })
      const again = hub.events('old', { rewind: 10 })
      expect((await again.next()).value).toMatchObject({ data: 'hello' })
    } finally {
      await bridge.stop()
    }
  })
})
