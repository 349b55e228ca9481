import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomOf } from '../support/random.ts'
import { Crowd } from './load/crowd.ts'
import { MarkScanner, payload, renumber } from './load/mark.ts'
import { Board, Sequence } from './load/tally.ts'

const SIZE = 150
const EVENTS = 200
const CONNECTIONS = 20
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'

function chunkOf(n: number): string {
  const event = `id: ${n + 1}\ndata: ${payload(n, SIZE)}\n\n`
  return `${event.length.toString(16)}\r\n${event}\r\n`
}

/** Cuts at random places, often within a mark. */
function pieces(bytes: Buffer, random: () => number): Buffer[] {
  const cut: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + Math.floor(random() ** 3 * 400)
    cut.push(bytes.subarray(at, at + length))
    at += length
  }
  return cut
}

function scanned(cut: readonly Buffer[], size = SIZE): number[] {
  const found: number[] = []
  const scanner = new MarkScanner(size, (n) => found.push(n))
  for (const piece of cut) scanner.scan(piece, piece.length)
  return found
}

describe('MarkScanner', () => {
  const numbers = Array.from({ length: 50 }, (_, i) => i * 7)

  it('finds every number, wherever the bytes are cut', () => {
    const bytes = Buffer.from(`${HEAD}${numbers.map(chunkOf).join(': comment |#n=12| |#\n')}`)
    expect(scanned([bytes])).toEqual(numbers)
    expect(scanned([...bytes].map((byte) => Buffer.of(byte)))).toEqual(numbers)
    for (let seed = 0; seed < 200; seed++) expect(scanned(pieces(bytes, randomOf(seed)))).toEqual(numbers)
  })

  it('reads no further than the given end', () => {
    const found: number[] = []
    new MarkScanner(SIZE, (n) => found.push(n)).scan(Buffer.from(chunkOf(1) + chunkOf(2)), chunkOf(1).length + 20)
    expect(found).toEqual([1])
  })

  it('finds events that are nothing but their mark', () => {
    const bytes = Buffer.from(numbers.map((n) => payload(n, 15)).join(''))
    expect(scanned(pieces(bytes, randomOf(1)), 15)).toEqual(numbers)
  })

  it('reads a number that was written over another one', () => {
    const bytes = Buffer.from(`POST${payload(0, SIZE)}`)
    renumber(bytes, 4, 1_234_567_890)
    expect(bytes.toString()).toBe(`POST${payload(1_234_567_890, SIZE)}`)
  })
})

describe('Crowd', () => {
  let server: Server
  let sockets: Socket[]
  let crowd: Crowd

  beforeEach(async () => {
    sockets = []
    server = createServer({ noDelay: true }, (socket) => {
      socket.once('data', () => {
        sockets.push(socket)
        socket.write(HEAD)
      })
      socket.on('error', () => {})
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    crowd = new Crowd((server.address() as AddressInfo).port, SIZE, false)
    await crowd.fill(CONNECTIONS, 1, 1_000)
  })

  afterEach(() => {
    crowd.leave()
    server.close()
  })

  /** Sends each connection its numbers, in pieces that arrive one by one, and waits until all of them have been read. */
  async function send(numbersOf: (connection: number) => readonly number[]): Promise<void> {
    for (let i = 0; i < EVENTS; i++) crowd.announce()
    await Promise.all(
      sockets.map(async (socket, i) => {
        for (const piece of pieces(Buffer.from(numbersOf(i).map(chunkOf).join('')), randomOf(i))) {
          socket.write(piece)
          await new Promise(setImmediate)
        }
      }),
    )
    await sleep(50)
    crowd.settle()
  }

  const all = Array.from({ length: EVENTS }, (_, n) => n)

  it('finds nothing wrong where nothing is', async () => {
    await send(() => all)
    expect(crowd.board).toMatchObject({ delivered: EVENTS * CONNECTIONS, underWay: 0 })
    expect(crowd.board.faults).toEqual({ lost: 0, duplicated: 0, reordered: 0, stray: 0 })
    expect(crowd.broken).toBe(0)
  })

  it('counts exactly the events that a server drops, doubles and swaps', async () => {
    const made = { lost: 0, duplicated: 0, reordered: 0, stray: 0 }
    const random = randomOf(7)
    await send(() => {
      const numbers: number[] = []
      for (const n of all) {
        const dice = random()
        if (dice < 0.05) {
          made.lost++
        } else if (dice < 0.1) {
          made.duplicated++
          numbers.push(n, n)
        } else {
          numbers.push(n)
        }
      }
      for (let i = 1; i < numbers.length; i++) {
        if (random() > 0.05 || numbers[i]! <= numbers[i - 1]!) continue
        if (numbers[i] === numbers[i - 2] || numbers[i] === numbers[i + 1] || numbers[i - 1] === numbers[i - 2])
          continue
        ;[numbers[i - 1], numbers[i]] = [numbers[i]!, numbers[i - 1]!]
        made.reordered++
        i++
      }
      return numbers
    })
    expect(Math.min(made.lost, made.duplicated, made.reordered)).toBeGreaterThan(50)
    expect(crowd.board.faults).toEqual(made)
    expect(crowd.board.delivered).toBe(EVENTS * CONNECTIONS - made.lost)
  })

  it('takes the order of most for the right one where the numbers say nothing', async () => {
    const turned = all.flatMap((n) => (n % 2 === 0 ? [n + 1] : [n - 1]))
    crowd.board.ordered = false
    await send((connection) => (connection < 3 ? all : turned))
    expect(crowd.board.faults).toEqual({ lost: 0, duplicated: 0, reordered: (3 * EVENTS) / 2, stray: 0 })
  })

  it('counts the end of a stream that was closed as lost', async () => {
    await send((connection) => {
      if (connection === 0) sockets[0]!.destroy()
      return all
    })
    expect(crowd.broken).toBe(1)
    expect(crowd.board.faults).toEqual({ lost: EVENTS, duplicated: 0, reordered: 0, stray: 0 })
  })
})

describe('Sequence', () => {
  it('recognises events of another channel', () => {
    const board = new Board()
    const sequence = new Sequence(board, 3, 5)
    for (const n of [3, 8, 9, 13]) sequence.arrive(n)
    sequence.settle(27)
    expect(board.faults).toEqual({ lost: 2, duplicated: 0, reordered: 0, stray: 1 })
  })
})
