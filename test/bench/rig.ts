import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { LoadClient } from './load/client.ts'
import type { Reply } from './load/main.ts'
import type { Peer } from './peers.ts'
import { residentKiB } from './proc.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LOAD = fileURLToPath(new URL('load/main.ts', import.meta.url))

/** Server and load client do not share a core where that can be helped. */
export const pinned = availableParallelism() >= 2 && spawnSync('taskset', ['-V']).status === 0

/** On a busy machine. */
const STARTS_MS = 30_000

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

function start(core: number | 'any', command: readonly string[], options: SpawnOptions): ChildProcess {
  const [file, ...args] = pinned && core !== 'any' ? ['taskset', '-c', String(core), ...command] : command
  const child = spawn(file!, args, { cwd: ROOT, ...options })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill()
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await gone
  clearTimeout(timer)
}

/** A free port, from the range that the system does not assign on its own. */
async function freePort(): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const server = createServer()
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
  })
  if (!free) return freePort()
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => socket.destroy()).once('error', () => {})
    socket.once('close', (failed) => resolve(!failed))
  })
}

/** A server under test, in a separate process. */
export class Server {
  readonly port: number
  readonly pid: number
  readonly #child: ChildProcess
  /** The end of its error output. */
  #errors = ''

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.pid = child.pid!
    this.#child = child
    child.stderr!.on('data', (bytes) => {
      this.#errors = (this.#errors + bytes).slice(-2_000)
    })
  }

  static async start(peer: Peer, flags: readonly string[] = []): Promise<Server> {
    const port = await freePort()
    const env = { ...process.env, PORT: String(port), NODE_ENV: 'production' }
    const core = peer.isAlone === true ? 'any' : 0
    const child = start(core, await peer.command(port, flags), { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const server = new Server(port, child)
    const deadline = performance.now() + STARTS_MS
    while (server.alive && performance.now() < deadline) {
      if (await listens(port)) return server
      await sleep(30)
    }
    const how = server.alive ? `does not listen after ${STARTS_MS / 1_000} s` : 'has ended'
    await server.stop()
    throw new Error(`${peer.title} ${how}: ${server.errors}`)
  }

  /** The line that names the error: the stack around it says where this is installed. */
  get errors(): string {
    const lines = this.#errors.trim().split('\n')
    return lines.find((line) => /error:/i.test(line)) ?? lines.at(-1)!
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  residentKiB(): number {
    return residentKiB(this.pid)
  }

  async control(what: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}/control/${what}`, { method: 'POST' })
  }

  async stop(): Promise<void> {
    await stop(this.#child)
  }
}

/** What another process answers. */
export type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never
}

/** The load client, in a separate process. One call at a time. */
export interface Load {
  readonly client: Remote<LoadClient>
  /** Comes before everything else. */
  use(server: Server, size: number): Promise<void>
  stop(): Promise<void>
}

export async function startLoad(): Promise<Load> {
  const command = [process.execPath, '--import', 'tsx', LOAD]
  const child = start(1, command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const call = (method: string, ...args: unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      const ended = () => reject(new Error('The load client has ended.'))
      child.once('exit', ended)
      child.once('message', ({ result, error }: Reply) => {
        child.off('exit', ended)
        if (error === undefined) resolve(result)
        else reject(new Error(error))
      })
      child.send({ method, args })
    })
  const client = new Proxy({} as Remote<LoadClient>, {
    get: (_, method) => (method === 'then' ? undefined : (...args: unknown[]) => call(String(method), ...args)),
  })
  return {
    client,
    use: async ({ port, pid }, size) => {
      await call('init', { port, server: pid, runner: process.pid, size, awake: pinned })
    },
    stop: () => stop(child),
  }
}
