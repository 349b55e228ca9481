import type { ServerResponse } from 'node:http'

// What a client must make of the bytes of a stream, rule by rule.
// [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

const BOM = '\uFEFF'

/** [name, body, events as [type, data, last event ID]]. `undefined`: the type of an event that names none. */
export type StreamCase = [
  name: string,
  body: string | Buffer | Buffer[],
  expected: [string | undefined, string, string][],
]
const message = (data: string, id = ''): [undefined, string, string] => [undefined, data, id]

export const STREAMS: readonly StreamCase[] = [
  ['one event', 'data: a\n\n', [message('a')]],
  ['UTF-8', 'data: é€😀\n\n', [message('é€😀')]],
  [
    'a character in three pieces',
    [Buffer.from('data: '), Buffer.from([0xe2]), Buffer.from([0x82]), Buffer.from([0xac, 10, 10])],
    [message('€')],
  ],
  ['a byte that is not UTF-8', Buffer.from([...Buffer.from('data: '), 0xff, 10, 10]), [message('\uFFFD')]],
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
  ['characters that do not end a line', 'data: a\u2028b\u0085c\vd\fe\n\n', [message('a\u2028b\u0085c\vd\fe')]],
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

/** Answers with the bytes, each piece separately, and ends. */
export function sendPieces(res: ServerResponse, body: StreamCase[1]): void {
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  const pieces = Array.isArray(body) ? [...body] : [Buffer.from(body as string)]
  const next = (): void => {
    const piece = pieces.shift()
    if (piece === undefined) res.end()
    else res.write(piece, () => setTimeout(next, 5))
  }
  next()
}
