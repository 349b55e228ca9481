import { describe, expect, it } from 'vitest'
import { StoredEvent } from '../../src/broker/stored-event.ts'
import { encodeFields } from '../../src/protocol/encode.ts'
import { parseEventStream } from '../support/parse-event-stream.ts'

const fields = encodeFields('tick' as never, '{"a":\n1}')
const stored = () =>
  new StoredEvent(
    {
      channel: 'news',
      event: 'tick',
      data: '{"a":\n1}',
      json: true,
      conflationKey: 'k',
      idempotencyKey: undefined,
      fields,
      bytes: Buffer.byteLength(fields),
    },
    'abcdef',
    1,
    0,
  )

describe('StoredEvent', () => {
  it('has the event ID of its place in the log', () => {
    expect(stored().id).toBe('abcdef.1')
  })

  it('is encoded as it was published, or wrapped with its channel', () => {
    expect(stored().frame('plain').bytes.toString()).toBe('id: abcdef.1\nevent: tick\ndata: {"a":\ndata: 1}\n\n')
    const { events } = parseEventStream(stored().frame('envelope').bytes)
    expect(events).toMatchObject([{ id: 'abcdef.1', event: undefined }])
    expect(JSON.parse(events[0]!.data)).toEqual({ channel: 'news', event: 'tick', data: { a: 1 } })
  })

  it('encodes each frame at most once', () => {
    const event = stored()
    expect(event.frame('plain')).toBe(event.frame('plain'))
    expect(event.frame('envelope')).toBe(event.frame('envelope'))
    expect(event.frame('plain')).not.toBe(event.frame('envelope'))
  })
})
