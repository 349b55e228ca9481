import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

/** Another process that runs a module. It is gone after the test. */
export class Process {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #exited: Promise<unknown[]>

  constructor(source: string) {
    this.#child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    this.#exited = once(this.#child, 'exit')
    onTestFinished(() => void this.#child.kill('SIGKILL'))
  }

  /** The next line that it prints, as JSON. */
  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('The process has ended.')
    return JSON.parse(value)
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Its exit code, if it ends on its own. */
  async exit(): Promise<unknown> {
    const [code] = await this.#exited
    return code
  }
}
