// What the types of the client know of the channels. Compiled, never run: test/types.test.ts.

import { type Connection, type ConnectionError, connect, type ReceivedGap } from '../../src/client/index.ts'
import { connectShared } from '../../src/client/shared.ts'
import { type Equal, expectType } from './expect.ts'

interface Channels {
  news: { title: string }
  'price.*': { cents: number }
  'user.>': { userId: string }
}

const connection = connect<Channels>('/channels', { channels: ['news', 'price.*'] })

// -- events: the channel determines the type of the data

connection.on('event', (event) => {
  if (event.channel === 'news') expectType<true>(true as Equal<typeof event.data, { title: string }>)
  else if ('cents' in event.data) expectType<`price.${string}` | `user.${string}`>(event.channel)
  expectType<string>(event.id)
  expectType<string | undefined>(event.event)
  // @ts-expect-error not a channel of the map
  event.channel === 'nesw'
})
connection.channel('news', ({ data }) => expectType<true>(true as Equal<typeof data, { title: string }>))
connection.channel('price.usd', ({ data }) => expectType<true>(true as Equal<typeof data, { cents: number }>))
connection.channel('price.*', ({ data }) => expectType<true>(true as Equal<typeof data, { cents: number }>))
// @ts-expect-error not a channel of the map
connection.channel('other', () => {})
connection.channel('>', ({ data }) => expectType<true>(true as Equal<typeof data, unknown>))
// @ts-expect-error not a channel of the map
connect<Channels>('/channels', { channels: ['nope'] })

// -- other events

connection.on('gap', (gap) => expectType<ReceivedGap>(gap))
connection.on('resumed', ({ channels }) => expectType<readonly string[]>(channels))
connection.on('state', (state) => expectType<'connecting' | 'open' | 'waiting' | 'closed'>(state))
connection.on('error', (error) => expectType<ConnectionError>(error))
expectType<() => void>(connection.on('closed', ({ reason }) => expectType<string>(reason)))
// @ts-expect-error no such event
connection.on('message', () => {})
// @ts-expect-error read only
connection.lastEventId = ''

async function iterate(): Promise<void> {
  for await (const item of connection) {
    if ('gap' in item) expectType<string>(item.to)
    else if (item.channel === 'news') expectType<string>(item.data.title)
  }
}

// -- without a map anything goes; the shared one is the same

connect('/channels').on('event', ({ data }) => data.whatever)
expectType<Connection<Channels>>(connectShared<Channels>('/channels', { key: 'me' }))

// -- options

connect('/answer', { method: 'POST', body: () => '{}', headers: async () => ({ authorization: 'x' }), retryPost: true })
connect(() => new URL('https://example.org'), { retry: { minMs: 1 }, signal: undefined, store: undefined })
// @ts-expect-error a misspelt option
connect('/channels', { channel: ['news'] })
// @ts-expect-error no list
connect('/channels', { channels: 'news' })

declare const title: {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => { value: { title: string } }
  }
}
connect<Channels>('/channels', { schemas: { news: title } })
// @ts-expect-error the schema of another channel
connect<Channels>('/channels', { schemas: { 'price.*': title } })
// @ts-expect-error not a channel of the map
connect<Channels>('/channels', { schemas: { nesw: title } })

export { iterate }
