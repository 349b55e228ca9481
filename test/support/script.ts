import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A script in a separate process. */
export interface Running {
  /** The next line that it prints, without its end. Rejects when it has ended. */
  line(): Promise<string>
  /** Its exit code. */
  readonly exited: Promise<number | null>
  /** Ends it and its children, if it has not ended on its own. */
  stop(): Promise<void>
}

/** Runs a script of the repository: TypeScript with tsx, anything else as what its first line says. */
export function runScript(file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Running {
  const [command, ...first] = file.endsWith('.ts') ? [process.execPath, '--import', 'tsx', file] : [file]
  // A separate process group, because a shell script has children.
  const child = spawn(command!, [...first, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return {
    exited,
    async line() {
      const { value, done } = await lines.next()
      if (done) throw new Error(`${file} has ended: ${said}`)
      return value
    },
    async stop() {
      try {
        process.kill(-child.pid!, 'SIGTERM')
      } catch {
        // It has ended on its own.
      }
      await exited
    },
  }
}
