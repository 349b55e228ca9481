import { connect, type Socket } from 'node:net'
import { payload, renumber } from './mark.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** Bytes of the answer at the beginning of `bytes`, or -1 while it is not complete. */
function answerLength(bytes: Buffer): number {
  const end = bytes.indexOf(HEAD_END)
  if (end === -1) return -1
  const head = bytes.toString('latin1', 0, end).toLowerCase()
  const body = end + HEAD_END.length
  if (head.startsWith('http/1.1 204')) return body
  const length = /\r\ncontent-length: *(\d+)/.exec(head)
  if (length !== null) return bytes.length < body + Number(length[1]) ? -1 : body + Number(length[1])
  if (!head.includes('transfer-encoding: chunked')) throw new Error(`An answer of unknown length: ${head}`)
  const last = bytes.indexOf(LAST_CHUNK, body)
  return last === -1 ? -1 : last + LAST_CHUNK.length
}

/** A keep-alive connection that publishes one event at a time. */
export class Publisher {
  readonly #socket: Socket
  readonly #size: number
  /** Ready requests by channel: only the number is rewritten. */
  readonly #requests = new Map<string, Buffer>()
  readonly #answered: (publisher: Publisher, ok: boolean) => void
  #answer: Buffer | undefined
  idle = true

  constructor(port: number, size: number, answered: (publisher: Publisher, ok: boolean) => void) {
    this.#size = size
    this.#answered = answered
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (bytes) => this.#read(bytes))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#end(false))
  }

  publish(channel: string, n: number): void {
    this.idle = false
    // A copy, because the socket may keep it.
    const request = Buffer.from(this.#request(channel))
    renumber(request, request.length - this.#size, n)
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.resetAndDestroy()
  }

  #request(channel: string): Buffer {
    let request = this.#requests.get(channel)
    if (request === undefined) {
      const head = `POST /events/${channel} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/plain\r\n`
      request = Buffer.from(`${head}Content-Length: ${this.#size}\r\n\r\n${payload(0, this.#size)}`)
      this.#requests.set(channel, request)
    }
    return request
  }

  #read(bytes: Buffer): void {
    const answer = this.#answer === undefined ? bytes : Buffer.concat([this.#answer, bytes])
    if (answerLength(answer) === -1) {
      this.#answer = answer
      return
    }
    this.#answer = undefined
    // "HTTP/1.1 2…"
    this.#end(answer[9] === 0x32)
  }

  #end(ok: boolean): void {
    if (this.idle) return
    this.idle = ok
    this.#answered(this, ok)
  }
}
