// What the map of a typed hub takes and refuses. Compiled, never run: test/types.test.ts.

import {
  type ChannelEvent,
  type ChannelGap,
  ChannelHub,
  type ChannelSnapshot,
  type EventStream,
  memoryBroker,
  type PublishReceipt,
  pattern,
} from '../../src/index.ts'
import { type Equal, expectType } from './expect.ts'

interface Headline {
  title: string
}
interface Price {
  cents: number
}
/** An interface: it has no index signature, which a `Record<string, …>` would ask for. */
interface Channels {
  news: Headline
  'price.*': Price
  'price.gold': { grams: number }
  'user.>': { userId: string }
  list: number[]
  answer: { kind: 'token'; text: string } | { kind: 'done' }
}

export const typed = new ChannelHub<Channels>({ broker: memoryBroker() })
declare const symbol: 'usd' | 'eur'
declare const anything: string

// -- publish: a name, a pattern's channel, a template literal

expectType<Promise<PublishReceipt>>(typed.publish('news', { title: 'Hello' }))
typed.publish('news', { title: 'Hello' }, { event: 'headline', idempotencyKey: 'a1', conflationKey: undefined })
typed.publish('price.usd', { cents: 1 })
typed.publish(`price.${symbol}`, { cents: 1 })
typed.publish(`price.${anything}`, { cents: 1 })
typed.publish('user.7', { userId: '7' })
typed.publish('user.7.inbox', { userId: '7' })
typed.publish('list', [1, 2])
typed.publish('answer', { kind: 'done' })

// An exact key wins over the pattern that matches as well.
typed.publish('price.gold', { grams: 1 })
// @ts-expect-error the data of the pattern
typed.publish('price.gold', { cents: 1 })

// @ts-expect-error wrong data
typed.publish('news', { headline: 'Hello' })
// @ts-expect-error wrong data of a pattern
typed.publish('price.usd', { cents: '1' })
// @ts-expect-error data that lacks a field
typed.publish('user.7', {})
// @ts-expect-error a typing error in the name
typed.publish('nesw', { title: 'Hello' })
// @ts-expect-error any text may be no channel of the map
typed.publish(anything, { title: 'Hello' })
// @ts-expect-error one token more than `*` stands for
typed.publish('price.usd.eur', { cents: 1 })
// @ts-expect-error one token less
typed.publish('price', { cents: 1 })
// @ts-expect-error a pattern is not a channel, although it is a key
typed.publish('price.*', { cents: 1 })
// @ts-expect-error nor this one
typed.publish('user.>', { userId: '7' })
// @ts-expect-error an unknown option
typed.publish('news', { title: 'Hello' }, { evnet: 'headline' })

// -- publishAll: every item by its own channel

typed.publishAll([
  { channel: 'news', data: { title: 'Hello' } },
  { channel: 'price.usd', data: { cents: 1 }, event: 'tick' },
  { channel: `price.${symbol}`, data: { cents: 2 } },
  { channel: `price.${anything}`, data: { cents: 3 } },
  { channel: 'list', data: [1, 2] },
])
typed.publishAll([1, 2].map((cents) => ({ channel: 'price.usd' as const, data: { cents } })))
typed.publishAll([])
typed.publishAll([
  { channel: 'news', data: { title: 'Hello' } },
  // @ts-expect-error the data of another item's channel
  { channel: 'price.usd', data: { title: 'Hello' } },
])
// @ts-expect-error a stranger
typed.publishAll([{ channel: 'nesw', data: { title: 'Hello' } }])
// @ts-expect-error a pattern
typed.publishAll([{ channel: 'price.*', data: { cents: 1 } }])

// -- handles

typed.channel('news').publish({ title: 'Hello' })
typed.channel('price.eur').publish({ cents: 1 })
typed.channel(`price.${anything}`).publish({ cents: 1 })
// @ts-expect-error wrong data
typed.channel('price.eur').publish({ title: 'Hello' })
// @ts-expect-error a stranger
typed.channel('nesw')
// @ts-expect-error a pattern
typed.channel('price.*')

// -- events: an item is a gap or an event with the data of its channel

for await (const item of typed.events('news')) {
  if ('gap' in item) {
    expectType<Equal<typeof item, ChannelGap>>(true)
    item.channels satisfies readonly string[]
  } else {
    expectType<Equal<typeof item, ChannelEvent<Headline, 'news'> | ChannelSnapshot<Headline, 'news'>>>(true)
    item.data.title satisfies string
    // @ts-expect-error not a field of it
    item.data.cents
  }
}
for await (const item of typed.events(['news', pattern('price.*')], { rewind: 10 })) {
  if (!('gap' in item)) expectType<Equal<typeof item.data, Headline | Price>>(true)
}
for await (const item of typed.channel('price.gold').events()) {
  if (!('gap' in item)) expectType<Equal<typeof item.data, { grams: number }>>(true)
}
// What the map says nothing of is `unknown`, never a type that everything is assignable from.
for await (const item of typed.events(pattern('>'))) {
  if (!('gap' in item)) expectType<Equal<typeof item.data, unknown>>(true)
}
// @ts-expect-error any text may be a name that is not of the map
typed.events(anything)
// @ts-expect-error a typing error
typed.events(['news', 'nesw'])
for await (const item of typed.events(['news', pattern('price.*')])) {
  if ('gap' in item) continue
  if (item.channel === 'news') expectType<Equal<typeof item.data, Headline>>(true)
  else expectType<Equal<typeof item.data, Price>>(true)
}

// -- routers and streams

typed.router({ channels: ['news', 'price.usd', 'price.*', 'user.>', '>'] })
// @ts-expect-error not a channel of the map
typed.router({ channels: ['nesw'] })
const stream = {} as EventStream
typed.subscribe(stream, ['news', pattern('price.*')])
// @ts-expect-error not a channel of the map
typed.subscribe(stream, 'nesw')

// -- a hub without a map takes any channel and any data, and a typed one is accepted in its place

const loose = new ChannelHub()
loose.publish('whatever', { a: 1 })
loose.publish(anything, 'text')
loose.publish(`x.${anything}`, 5)
loose.publishAll([{ channel: anything, data: 1 }])
loose.publishAll([1, 2].map((n) => ({ channel: `x.${n}`, data: n })))
loose.channel(anything).publish([1])
for await (const item of loose.events(anything)) if (!('gap' in item)) item.data.whatever

function takesAny(hub: ChannelHub): Promise<PublishReceipt> {
  return hub.publish('whatever', 1)
}
takesAny(typed)
takesAny(loose)
function takesNews(hub: ChannelHub<Pick<Channels, 'news'>>): Promise<PublishReceipt> {
  return hub.publish('news', { title: 'Hello' })
}
takesNews(loose)

// A type alias is a map as well.
type Aliased = { a: number }
new ChannelHub<Aliased>().publish('a', 1)
// @ts-expect-error wrong data
new ChannelHub<Aliased>().publish('a', 'one')
