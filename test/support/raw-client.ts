import { connect, type Socket } from 'node:net'

/** A TCP client that sends given bytes and shows every byte it receives. */
export class RawClient implements Disposable {
  readonly socket: Socket
  /** Resolves when the connection is closed, by either side and in any way. */
  readonly closed: Promise<void>
  readonly #chunks: Buffer[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      this.#chunks.push(bytes)
    })
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** A request of HTTP/1.1 without a body, unless the lines say otherwise. */
  request(line: string, ...headers: string[]): void {
    this.socket.write(`${line} HTTP/1.1\r\nHost: test\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`)
  }

  get received(): string {
    // In one piece from now on, so that the next call costs only the new bytes.
    if (this.#chunks.length > 1) this.#chunks.splice(0, this.#chunks.length, Buffer.concat(this.#chunks))
    return this.#chunks[0]?.toString('utf8') ?? ''
  }

  /** Everything received, once it contains `text`. */
  async until(text: string): Promise<string> {
    while (!this.received.includes(text)) {
      await new Promise<void>((resolve, reject) => {
        const settle = (): void => {
          this.socket.off('data', settle).off('close', fail)
          resolve()
        }
        const fail = (): void =>
          reject(new Error(`Closed before ${JSON.stringify(text)}: ${JSON.stringify(this.received)}`))
        if (this.socket.destroyed) fail()
        this.socket.once('data', settle).once('close', fail)
      })
    }
    return this.received
  }

  /** Leaves silently. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}
