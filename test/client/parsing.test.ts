import { describe, expect, it } from 'vitest'
import { STREAMS, sendPieces } from './stream-cases.ts'
import { connected, scripted, status, stream, until } from './support.ts'

describe('the bytes of a stream', () => {
  it.each(STREAMS)('%s', async (_name, body, expected) => {
    const { url } = await scripted((res) => sendPieces(res, body), status(204))
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

  // [spec] #dispatchMessage: the last event ID is set before the data is looked at.
  it('gives the ID of a block without data to the next event', async () => {
    const { url } = await scripted(stream('id: 7\n\ndata: a\n\n'), status(204))
    const connection = connected(url)
    await connection.closed
    expect(connection.told.event).toEqual([{ channel: '', event: undefined, data: 'a', id: '7' }])
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
