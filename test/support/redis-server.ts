import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const COMMAND = ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/usr/bin/valkey-server'].find(existsSync)

/** How to install a missing server; undefined if one is installed. `npm test` prints it once for each file it skips. */
export const REDIS_MISSING =
  COMMAND !== undefined || spawnSync('redis-server', ['--version']).status === 0
    ? undefined
    : 'redis-server is not installed (apt-get install redis-server, brew install redis)'

if (REDIS_MISSING !== undefined) console.warn(`Skipped: tests of the Redis broker. ${REDIS_MISSING}`)

/** A separate server on a free port, without persistence by default. */
export class RedisServer {
  readonly port: number
  /** Its folder, with its Unix socket. */
  readonly folder: string
  readonly #options: readonly string[]
  #process: ChildProcess | undefined

  private constructor(port: number, folder: string, options: readonly string[]) {
    this.port = port
    this.folder = folder
    this.#options = options
  }

  /** `options`: as on its command line, such as `--appendonly yes`. */
  static async start(...options: readonly string[]): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'express-sse-hub-redis-'))
    const server = new RedisServer(await freePort(), folder, options)
    await server.start()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get socket(): string {
    return join(this.folder, 'redis.sock')
  }

  get pid(): number {
    return this.#process!.pid!
  }

  /** Starts it again, with its persisted data. */
  async start(): Promise<void> {
    const fixed = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--unixsocket', this.socket, '--dir', this.folder]
    const child = spawn(
      COMMAND ?? 'redis-server',
      [...fixed, '--save', '', '--enable-debug-command', 'local', ...this.#options],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    child.stdout!.resume()
    this.#process = child
    // It answers, and has loaded its data.
    for (;;) {
      if (child.exitCode !== null) throw new Error(`redis-server exited with ${child.exitCode}`)
      const answer = await this.command('PING').catch(() => '')
      if (answer.startsWith('+PONG') || answer.startsWith('-NOAUTH')) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process!.kill(signal)
  }

  /** Ends it without a warning. */
  async kill(): Promise<void> {
    const child = this.#process!
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Sends one inline command, and gives the answer as it is on the wire. */
  async command(...words: readonly string[]): Promise<string> {
    const socket = connect(this.port, '127.0.0.1')
    socket.setEncoding('utf8')
    try {
      await once(socket, 'connect')
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
      let answer = ''
      for await (const chunk of socket) {
        answer += chunk
        if (isWhole(answer)) break
      }
      return answer
    } finally {
      socket.destroy()
    }
  }
}

/** Whether a reply has come to its end, as far as tests need to know. */
function isWhole(reply: string): boolean {
  const end = reply.indexOf('\r\n')
  if (end === -1) return false
  if (reply[0] === '$')
    return reply.startsWith('$-1') || Buffer.byteLength(reply) >= end + 4 + Number(reply.slice(1, end))
  return reply.endsWith('\r\n')
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
