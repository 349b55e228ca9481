import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** The demo as `npm start` runs it, but with its log in memory, and its own log elsewhere, if nothing else is said. */
export interface Demo {
  readonly url: string
  readonly port: number
  readonly process: ChildProcess
  /** Everything it has printed. */
  readonly output: () => string
  /** Asks it to end, and resolves with its exit code. */
  stop(): Promise<number | null>
}

export async function startDemo(env: Record<string, string> = {}): Promise<Demo> {
  const child = runDemo(env)
  let output = ''
  child.stderr!.on('data', (text) => process.stderr.write(text))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const match = /^(http:\S+)\n/.exec(output)
      if (match !== null) resolve(match[1]!)
    })
    child.once('exit', (code) => reject(new Error(`The demo ended with ${code}.`)))
  })
  const exited = once(child, 'exit')
  return {
    url,
    port: Number(new URL(url).port),
    process: child,
    output: () => output,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      const [code] = (await exited) as [number | null]
      clearTimeout(killer)
      return code
    },
  }
}

let count = 0

/** `npm start` without npm, which would not pass the signal on. */
export function runDemo(env: Record<string, string>): ChildProcess {
  const ownLog = join(tmpdir(), `demo-${process.pid}-${count++}.log`)
  return spawn(process.execPath, ['--import', 'tsx', 'demo/server.ts'], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', HUB_BROKER: 'memory', DEMO_LOG: ownLog, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
