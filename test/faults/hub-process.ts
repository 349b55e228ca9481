import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Told, Up } from './server.ts'

const SERVER = fileURLToPath(new URL('server.ts', import.meta.url))
/** How long a hub may take to be up. */
const PATIENCE_MS = 20_000

/** A hub in a separate process, always on the same port, across restarts. */
export class HubProcess implements AsyncDisposable {
  readonly #broker: string
  readonly #script: string
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  #port = 0

  /** `broker`: like the demo's HUB_BROKER. `script`: a script to run instead of the plain hub, with its arguments. */
  constructor(broker: string, script = SERVER, env: NodeJS.ProcessEnv = {}) {
    this.#broker = broker
    this.#script = script
    this.#env = env
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Starts it. Rejects with its output if it cannot start. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--import', 'tsx', this.#script], {
      env: { ...process.env, ...this.#env, FAULTS_BROKER: this.#broker, PORT: String(this.#port) },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#child = child
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      said += text
    })
    const up = once(child, 'message') as Promise<[Up]>
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`The hub ended with ${code}: ${said}`)
    })
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`The hub was not up in time: ${said}`)), PATIENCE_MS).unref()
    })
    ended.catch(() => {})
    const [{ port }] = await Promise.race([up, ended, late])
    this.#port = port
  }

  /** Kills it, as a crash or the kernel would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Ends it as a deploy does. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Stops it from running, with all its connections open. */
  freeze(): void {
    this.#child!.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child!.kill('SIGCONT')
  }

  tell(told: Told): void {
    this.#child!.send(told)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }
}
