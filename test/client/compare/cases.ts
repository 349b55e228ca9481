import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { STREAMS, sendPieces } from '../stream-cases.ts'
import type { Client, Heard, Wishes } from './clients.ts'

/** One behaviour: its name, and the result of a client. `undefined`: the client has no such option. */
export interface Case {
  readonly name: string
  run(client: Client): Promise<boolean | string | undefined>
}

interface Seen {
  readonly at: number
  readonly headers: IncomingMessage['headers']
  readonly query: URLSearchParams
}

type Answer = (res: ServerResponse, n: number) => unknown

/** Longer than the first wait of any client. */
const LONG_MS = 6_000
const EVENT_STREAM = { 'content-type': 'text/event-stream' }
const head = (res: ServerResponse) => res.writeHead(200, EVENT_STREAM)
const gone: Answer = (res) => res.writeHead(204).end()
const status =
  (code: number, headers = {}): Answer =>
  (res) =>
    res.writeHead(code, headers).end()

/** Runs a client against answers, the last of which is for all that follow, until `done` or for `ms`. */
async function watch(
  client: Client,
  answers: readonly Answer[],
  wishes: Partial<Wishes>,
  ms: number,
  done: (requests: Seen[], heard: Heard[]) => boolean = () => false,
): Promise<{ requests: Seen[]; heard: Heard[] }> {
  const requests: Seen[] = []
  const heard: Heard[] = []
  const server = createServer((req, res) => {
    const query = new URL(req.url!, 'http://x').searchParams
    requests.push({ at: performance.now(), headers: req.headers, query })
    answers[Math.min(requests.length, answers.length) - 1]!(res, requests.length - 1)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stop = client.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
    hear: (event) => {
      heard.push(event)
      wishes.hear?.(event)
    },
    ...Object.fromEntries(Object.entries(wishes).filter(([name]) => name !== 'hear')),
  })
  for (const end = performance.now() + ms; performance.now() < end && !done(requests, heard); ) await sleep(5)
  // What says more than it should has the time to.
  await sleep(50)
  stop()
  server.close()
  server.closeAllConnections()
  return { requests, heard }
}

/** The waits of eight clients, one after a stream that ended, then those between failures. */
function failing(client: Client, answer: Answer, ms: number, count: number): Promise<number[][]> {
  const answers: Answer[] = [(res) => head(res).end('retry: 50\ndata: a\n\n'), answer]
  return Promise.all(
    Array.from({ length: 8 }, async () => {
      const { requests } = await watch(client, answers, {}, ms, (requests) => requests.length > count)
      return requests.slice(1).map((_, i) => gap(requests, i + 1))
    }),
  )
}

const twice = (requests: Seen[]) => requests.length > 1
const gap = (requests: Seen[], n = 1) => requests[n]!.at - requests[n - 1]!.at
const idOf = ({ headers, query }: Seen) => {
  const header = headers['last-event-id'] as string | undefined
  return header === undefined ? query.get('lastEventId') : Buffer.from(header, 'latin1').toString()
}
const cut: Answer = (res) => {
  head(res).write('retry: 50\nid: 7\ndata: a\n\n')
  setTimeout(() => res.socket!.resetAndDestroy(), 20)
}

export const cases: readonly Case[] = [
  {
    name: `reads a stream as the standard says (${STREAMS.length} cases)`,
    async run(client) {
      let right = 0
      for (const [, body, expected] of STREAMS) {
        const whole = (_: Seen[], heard: Heard[]) => heard.length >= expected.length
        const { heard } = await watch(client, [(res) => sendPieces(res, body), gone], {}, 2_000, whole)
        const got = heard.map(({ type, data }) => [type, data])
        if (JSON.stringify(got) === JSON.stringify(expected.map(([type = 'message', data]) => [type, data]))) right++
      }
      return `${right}`
    },
  },
  {
    name: 'a heartbeat comment is not an event',
    async run(client) {
      const answer: Answer = (res) => head(res).write(':\n\n: x\n\ndata: a\n\n')
      const { heard } = await watch(client, [answer], {}, 2_000, (_, heard) => heard.some(({ data }) => data === 'a'))
      return heard.length === 1
    },
  },
  {
    name: 'reconnects after a clean end',
    run: async (client) =>
      twice((await watch(client, [(res) => head(res).end('retry: 50\ndata: a\n\n'), gone], {}, 5_000, twice)).requests),
  },
  {
    name: 'reconnects after a cut, with the last event ID',
    async run(client) {
      const { requests } = await watch(client, [cut, gone], {}, 5_000, twice)
      return requests.length > 1 && idOf(requests[1]!) === '7'
    },
  },
  {
    name: 'the same with an ID beyond ASCII',
    async run(client) {
      const answer: Answer = (res) => head(res).end('retry: 50\nid: é€\ndata: a\n\n')
      const { requests } = await watch(client, [answer, gone], {}, 5_000, twice)
      return requests.length > 1 && idOf(requests[1]!) === 'é€'
    },
  },
  {
    name: '204 is the end',
    run: async (client) => !twice((await watch(client, [gone], {}, LONG_MS, twice)).requests),
  },
  {
    name: '404 is the end',
    run: async (client) => !twice((await watch(client, [status(404)], {}, LONG_MS, twice)).requests),
  },
  {
    name: '503 passes',
    run: async (client) => twice((await watch(client, [status(503), gone], {}, 6_000, twice)).requests),
  },
  {
    name: 'Retry-After of a 503 is heeded',
    async run(client) {
      const { requests } = await watch(client, [status(503, { 'retry-after': '4' }), gone], {}, 6_000, twice)
      return twice(requests) && gap(requests) > 3_990
    },
  },
  {
    name: '`retry:` is heeded',
    async run(client) {
      const answer: Answer = (res) => head(res).end('retry: 400\ndata: a\n\n')
      const { requests } = await watch(client, [answer, gone], {}, 5_000, twice)
      return twice(requests) && gap(requests) >= 390
    },
  },
  {
    name: 'the waits between failures grow',
    async run(client) {
      // The first and the last, of several because they may be random.
      const all = await failing(client, (res) => res.socket!.destroy(), 12_000, 10)
      const known = all.filter(({ length }) => length > 2)
      const sum = (at: number) => known.reduce((all, waits) => all + waits.at(at)!, 0)
      return known.length > 1 && sum(-1) > 2 * sum(0)
    },
  },
  {
    name: 'the waits of several clients differ',
    async run(client) {
      // After an answer that refuses, or none at all: whichever it makes random.
      for (const answer of [(res: ServerResponse) => res.socket!.destroy(), status(503)]) {
        const second = (await failing(client, answer, LONG_MS, 2)).flatMap((waits) => waits[1] ?? [])
        if (second.length > 1 && Math.max(...second) - Math.min(...second) > 100) return true
      }
      return false
    },
  },
  {
    name: 'a stream that is silent is given up',
    async run(client) {
      if (client.cannot.includes('silenceMs')) return undefined
      const answer: Answer = (res) => head(res).write('retry: 50\ndata: a\n\n')
      return twice((await watch(client, [answer], { silenceMs: 300 }, LONG_MS, twice)).requests)
    },
  },
  {
    name: 'own headers, computed for each request',
    async run(client) {
      if (client.cannot.includes('header')) return undefined
      let n = 0
      const { requests } = await watch(client, [cut, gone], { header: () => `${++n}` }, 5_000, twice)
      return requests.length > 1 && requests[1]!.headers['x-own'] === '2'
    },
  },
  {
    name: 'starts at a given position',
    async run(client) {
      if (client.cannot.includes('lastEventId')) return undefined
      const { requests } = await watch(client, [gone], { lastEventId: '5' }, 1_000, (requests) => requests.length > 0)
      return requests.length > 0 && (idOf(requests[0]!) === '5' || [...requests[0]!.query.values()].includes('5'))
    },
  },
  {
    name: 'a POST without a position is not sent again',
    async run(client) {
      if (client.cannot.includes('body')) return undefined
      const answer: Answer = (res) => {
        head(res).write('retry: 50\ndata: a\n\n')
        setTimeout(() => res.socket!.resetAndDestroy(), 20)
      }
      return !twice((await watch(client, [answer], { body: '{}' }, LONG_MS, twice)).requests)
    },
  },
  {
    name: 'closed by a listener it says nothing more',
    async run(client) {
      let stop = () => {}
      const wrapped: Client = {
        ...client,
        open: (url, wishes) => {
          stop = client.open(url, wishes)
          return stop
        },
      }
      const answer: Answer = (res) => head(res).write('data: a\n\ndata: b\n\ndata: c\n\n')
      const { heard } = await watch(wrapped, [answer], { hear: () => stop() }, 400)
      return heard.length === 1
    },
  },
]
