import { describe, expect, it } from 'vitest'
import { connected, EVENT_STREAM, scripted, status, stream, until } from './support.ts'

// What a client must make of the bytes of a stream, rule by rule.
// [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

const BOM = '\uFEFF'

/** [name, body, events as [type, data, last event ID]]. `undefined`: the type of an event that names none. */
type Case = [name: string, body: string | Buffer | Buffer[], expected: [string | undefined, string, string][]]
const message = (data: string, id = ''): [undefined, string, string] => [undefined, data, id]

const CASES: Case[] = [
  ['one event', 'data: a\n\n', [message('a')]],
  ['UTF-8', 'data: é€😀\n\n', [message('é€😀')]],
  [
    'a character in three pieces',
    [Buffer.from('data: '), Buffer.from([0xe2]), Buffer.from([0x82]), Buffer.from([0xac, 10, 10])],
    [message('€')],
  ],
  ['a byte that is no UTF-8', Buffer.from([...Buffer.from('data: '), 0xff, 10, 10]), [message('\uFFFD')]],
  ['one leading BOM', `${BOM}data: a\n\n`, [message('a')]],
  [
    'a BOM in three pieces',
    [Buffer.from([0xef]), Buffer.from([0xbb]), Buffer.concat([Buffer.from([0xbf]), Buffer.from('data: a\n\n')])],
    [message('a')],
  ],
  ['two BOMs: the first field is unknown', `${BOM}${BOM}data: a\ndata: b\n\n`, [message('b')]],
  ['a BOM inside data', `data: ${BOM}a\n\n`, [message(`${BOM}a`)]],
  ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', [message('a'), message('b')]],
  ['CR', 'data: a\r\rdata: b\r\r', [message('a'), message('b')]],
  [
    'a CRLF in two pieces',
    [Buffer.from('data: a\r'), Buffer.from('\ndata: b\r\n\r'), Buffer.from('\n')],
    [message('a\nb')],
  ],
  ['line ends of all kinds', 'data: a\rdata: b\ndata: c\r\n\n', [message('a\nb\nc')]],
  ['what is no line end', 'data: a\u2028b\u0085c\vd\fe\n\n', [message('a\u2028b\u0085c\vd\fe')]],
  ['comments', ': x\n:\n\n: y\n\ndata: a\n: z\n\n', [message('a')]],
  ['one space after the colon', 'data:  a \n\ndata:b\n\ndata:\tc\n\n', [message(' a '), message('b'), message('\tc')]],
  ['a colon in a value', 'data:a:b: c\n\n', [message('a:b: c')]],
  ['a name without a colon', 'data\ndata\n\n', [message('\n')]],
  ['a bare data line', 'data\n\n', [message('')]],
  ['an empty data line', 'data:\n\n', [message('')]],
  ['an empty first line', 'data:\ndata: b\n\n', [message('\nb')]],
  ['other names', 'Data: a\n\ndata : b\n\n data: c\n\nfoo: d\n\ndata: e\n\n', [message('e')]],
  ['no data line', 'event: add\n\ndata: b\n\n', [message('b')]],
  ['a type', 'event: add\ndata: a\n\ndata: b\n\n', [['add', 'a', ''], message('b')]],
  ['an empty type', 'event: add\nevent:\ndata: a\n\n', [message('a')]],
  ['the type error', 'event: error\ndata: a\n\n', [['error', 'a', '']]],
  ['an ID that stays', 'id: 7\ndata: a\n\ndata: b\n\n', [message('a', '7'), message('b', '7')]],
  ['an empty ID resets', 'id: 7\ndata: a\n\nid\ndata: b\n\n', [message('a', '7'), message('b')]],
  ['a NUL in an ID', 'id: 7\ndata: a\n\nid: x\0y\ndata: b\n\n', [message('a', '7'), message('b', '7')]],
  ['a NUL in data', 'data: a\0b\n\n', [message('a\0b')]],
  ['no blank line at the end', 'data: a\n\ndata: b\n', [message('a')]],
  ['no line end at the end', 'data: a\n\ndata: b', [message('a')]],
  ['an ID without a blank line', 'id: 1\ndata: a\n\nid: 2\n', [message('a', '1')]],
]

describe('the bytes of a stream', () => {
  it.each(CASES)('%s', async (_name, body, expected) => {
    const { url } = await scripted((res) => {
      res.writeHead(200, EVENT_STREAM)
      const pieces = Array.isArray(body) ? body : [Buffer.from(body as string)]
      const next = () => {
        const piece = pieces.shift()
        if (piece === undefined) res.end()
        else res.write(piece, () => setTimeout(next, 5))
      }
      next()
    }, status(204))
    const connection = connected(url)
    await connection.closed
    expect(connection.told.event.map(({ event, data, id }) => [event, data, id])).toEqual(expected)
    expect(connection.told.error).toEqual([])
  })

  it('ends an event with a CR at once, not when more comes', async () => {
    const { url } = await scripted(stream('data: a\r\r', true))
    const connection = connected(url)
    await until(() => connection.told.event.length)
  })

  // eventsource-parser 3.0 has no callback for it; a hub always sends data with an ID.
  it('does not take the ID of a block that has no data', async () => {
    const { url } = await scripted(stream('id: 7\n\ndata: a\n\n'), status(204))
    const connection = connected(url)
    await connection.closed
    expect(connection.told.event).toEqual([{ channel: '', event: undefined, data: 'a', id: '' }])
  })

  it.each(['100abc', '-5', '1.5', '+50', '0x10', '', ' 200'])('ignores retry: "%s"', async (value) => {
    const { url, requests } = await scripted(stream(`retry: 60000\nretry:${value === '' ? '' : ` ${value}`}\n\n`))
    connected(url)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(requests.length).toBe(1)
  })
})

describe('the type of an answer', () => {
  const typed = (type: string | undefined) =>
    scripted((res) => {
      res.writeHead(200, type === undefined ? {} : { 'content-type': type })
      res.end('data: a\n\n')
    }, status(204))

  it.each(['text/event-stream', 'text/event-stream; charset=utf-8', 'Text/Event-Stream;x', 'text/event-stream ;a=b'])(
    'may be %s',
    async (type) => {
      const connection = connected((await typed(type)).url)
      expect(await connection.closed).toEqual({ reason: 'finished', error: undefined })
      expect(connection.told.event.length).toBe(1)
    },
  )

  it.each(['text/plain', 'text/event-streamx', 'text/html; x=text/event-stream', undefined])(
    'ends it when it is %s',
    async (type) => {
      const { url, requests } = await typed(type)
      const connection = connected(url)
      const error = { code: 'ERR_SSE_CONTENT_TYPE', status: 200, final: true }
      expect(await connection.closed).toMatchObject({ reason: 'failed', error })
      expect(connection.told.event).toEqual([])
      expect(requests.length).toBe(1)
    },
  )
})
