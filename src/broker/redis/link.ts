import type { Connect, Connection } from './client.ts'
import { isNoScript, LinkEnded } from './failure.ts'
import { ALL_SCRIPTS, type Script } from './scripts.ts'

/** The time limit for opening a connection, including its greeting. */
const OPEN_MS = 5_000

/** The reports of a link. */
export interface LinkListener {
  message(channel: string, text: string): void
  /** Once, after it was open. */
  ended(link: Link, error: unknown): void
}

/**
 * One life of one connection, which runs scripts and receives messages. Any error ends it, and rejects every call that
 * waits for an answer at once: a library would wait for a peer that may be gone.
 */
export class Link {
  readonly #connection: Connection
  readonly #listener: LinkListener
  /** The key that every script receives. The scripts derive the other keys from it. */
  readonly #key: string
  readonly #waiting = new Set<(error: LinkEnded) => void>()
  #ended: LinkEnded | undefined
  #isOpen = false

  private constructor(connect: Connect, key: string, listener: LinkListener) {
    this.#key = key
    this.#listener = listener
    this.#connection = connect({
      message: (channel, text) => this.#message(channel, text),
      ended: (error) => this.end(error),
    })
  }

  /** Connects. `key`: the state of the log. */
  static async open(connect: Connect, key: string, listener: LinkListener): Promise<Link> {
    const link = new Link(connect, key, listener)
    const timer = setTimeout(() => link.end(new Error(`No connection within ${OPEN_MS} ms.`)), OPEN_MS).unref()
    try {
      await link.#settled(() => link.#connection.open())
    } catch (error) {
      link.end(error)
      throw error instanceof LinkEnded ? (error.cause ?? error) : error
    } finally {
      clearTimeout(timer)
    }
    link.#isOpen = true
    return link
  }

  get isEnded(): boolean {
    return this.#ended !== undefined
  }

  /** Sends a command. Rejects with LinkEnded if no answer can arrive, and with the error of the server otherwise. */
  call(args: readonly string[]): Promise<unknown> {
    return this.#settled(() => this.#connection.call(args))
  }

  async load(): Promise<void> {
    await Promise.all(ALL_SCRIPTS.map(({ text }) => this.call(['SCRIPT', 'LOAD', text])))
  }

  /** Runs a script. If the server has lost it, it was not executed, and is loaded again. */
  async run(script: Script, args: readonly string[]): Promise<unknown> {
    const command = ['EVALSHA', script.sha, '1', this.#key, ...args]
    try {
      return await this.call(command)
    } catch (error) {
      if (!isNoScript(error)) throw error
    }
    await this.call(['SCRIPT', 'LOAD', script.text])
    return this.call(command)
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#settled(() => this.#connection.subscribe(channels))
  }

  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#settled(() => this.#connection.unsubscribe(channels))
  }

  end(error: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = new LinkEnded(error)
    try {
      this.#connection.end()
    } catch {
      // It has ended on its own.
    }
    for (const reject of this.#waiting) reject(this.#ended)
    this.#waiting.clear()
    if (this.#isOpen) this.#listener.ended(this, error)
  }

  #message(channel: string, text: string): void {
    if (this.#ended !== undefined) return
    try {
      this.#listener.message(channel, text)
    } catch (error) {
      this.end(error)
    }
  }

  #settled<T>(send: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      this.#waiting.add(reject)
      const settle = (fn: () => void) => {
        if (this.#waiting.delete(reject)) fn()
      }
      send().then(
        (value) => settle(() => resolve(value)),
        (error) => (isReply(error) ? settle(() => reject(error)) : this.end(error)),
      )
    })
  }
}

/** Whether the error is a reply of the server, and not a failure to reach it. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]{2,}\b/.test(error.message)
}
