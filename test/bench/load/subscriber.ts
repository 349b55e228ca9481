import { connect, type Socket } from 'node:net'
import { MarkScanner } from './mark.ts'
import type { Sequence } from './tally.ts'

export interface SubscriberInit {
  readonly port: number
  readonly channel: string
  /** Bytes of the data of an event. */
  readonly size: number
  readonly sequence: Sequence
  readonly lastEventId?: string | undefined
}

const OK = Buffer.from('HTTP/1.1 200')
/** One for all: a read is looked at before the next one begins. */
const READ_BUFFER = Buffer.allocUnsafe(1 << 16)

function request(channel: string, lastEventId: string | undefined): string {
  const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  return `GET /events/${channel} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n${resume}\r\n`
}

/** One event stream: a bare socket that counts. */
export class Subscriber {
  readonly #socket: Socket
  /** The server has ended it, or it never came to be. */
  broken = false
  /** Called with every read, before it is scanned. */
  spy: ((bytes: Buffer) => void) | undefined

  /** `settled` is called once: with true when the head has come, with false when there will be none. */
  constructor({ port, channel, size, sequence, lastEventId }: SubscriberInit, settled: (open: boolean) => void) {
    const scanner = new MarkScanner(size, (n) => sequence.arrive(n))
    let open = false
    const settle = (ok: boolean) => {
      if (open) return
      open = true
      settled(ok)
    }
    const onread = (length: number): boolean => {
      if (!open) settle(OK.compare(READ_BUFFER, 0, OK.length) === 0)
      this.spy?.(READ_BUFFER.subarray(0, length))
      scanner.scan(READ_BUFFER, length)
      return true
    }
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: onread },
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.broken = true
      settle(false)
    })
    this.#socket.write(request(channel, lastEventId))
  }

  /** Leaves at once, and no port waits for anything. */
  leave(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.resetAndDestroy()
  }
}

/** A stream that is asked for and never read. */
export function neverReading(port: number, channel: string): Socket {
  const socket = connect({ port, host: '127.0.0.1' })
  // Paused before it is connected, it never begins to read.
  socket.pause()
  socket.on('error', () => {})
  socket.write(request(channel, undefined))
  return socket
}
