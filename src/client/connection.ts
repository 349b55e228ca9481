import { covers } from '../channel-name.ts'
import type { ChannelEntry, HeardData } from '../channel-types.ts'
import { connectionError } from './error.ts'
import type {
  ConnectionEnd,
  ConnectionEvents,
  ConnectionState,
  EventOf,
  OpenInfo,
  ReceivedEvent,
  ReceivedGap,
} from './events.ts'
import type { ConnectOptions } from './options.ts'
import { validate } from './schema.ts'
import type { Sink, Source } from './source.ts'
import type { PositionStore } from './store.ts'

/** A subscription to channels of a hub that lasts until there is a reason for it to end. */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export interface Connection<Channels = any> extends AsyncIterable<EventOf<Channels> | ReceivedGap> {
  readonly state: ConnectionState
  /** The position: everything up to this ID was told. `''` = none. */
  readonly lastEventId: string
  /** Requests so far. */
  readonly attempts: number
  /** How and why it ended, once it has. Never rejects. */
  readonly closed: Promise<ConnectionEnd>
  /** Returns a function that removes the listener. What a listener throws is reported as an uncaught error. */
  on<K extends keyof ConnectionEvents<Channels>>(
    type: K,
    listener: (detail: ConnectionEvents<Channels>[K]) => void,
  ): () => void
  /** Listens to the events of one channel, or of those that a pattern stands for. */
  channel<const C extends ChannelEntry<Channels>>(
    name: C,
    listener: (event: ReceivedEvent<string, HeardData<Channels, C>>) => void,
  ): () => void
  /** Drops what is open, and connects now: after a change of what `headers` gives, say. */
  reconnect(): void
  /** Ends it for good. Nothing is told after it but `closed`. */
  close(): void
}

/** What waits for one iterator. Its first item is in the hands of the consumer until that asks for the next. */
interface Queue {
  readonly items: [item: unknown, position: string][]
  /** The position before the first item. */
  settled: string
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Those who listen, on top of whatever the events come from. */
export function connectionOf<Channels>(
  options: ConnectOptions<Channels>,
  makeSource: (begin: () => Promise<string>, sink: Sink) => Source,
): Connection<Channels> {
  const { schemas, maxQueued = 100, signal } = options
  let { store } = options
  const target = new EventTarget()
  const queues = new Set<Queue>()
  let kept = options.lastEventId ?? ''
  let isStoring = false
  let end: ConnectionEnd | undefined

  function on(type: string, listener: (detail: never) => void): () => void {
    const own = (event: Event): void => listener((event as CustomEvent<never>).detail)
    target.addEventListener(type, own)
    return () => target.removeEventListener(type, own)
  }

  function emit(type: string, detail?: unknown): void {
    target.dispatchEvent(new CustomEvent(type, { detail }))
  }

  /** Resolves when something has been put into a queue, or taken out. */
  const change = () => new Promise((resolve) => target.addEventListener('', resolve, { once: true }))

  /** What the store says. One that failed is not asked again. */
  async function stored<T>(use: (store: PositionStore) => T): Promise<Awaited<T> | undefined> {
    try {
      return store && (await use(store))
    } catch (cause) {
      if (store) emit('error', connectionError('ERR_SSE_STORE', { cause }))
      store = undefined
      return
    }
  }

  /** Stores the position behind which nothing waits any more. */
  function keep(): void {
    let id = connection.lastEventId
    let most = 0
    for (const { items, settled } of queues) if (items.length > most) [most, id] = [items.length, settled]
    if (id === kept) return
    kept = id
    if (!isStoring) storeKept()
  }

  /** One position at a time, and the newest next: a slow store is not left behind by several. */
  async function storeKept(): Promise<void> {
    isStoring = true
    for (let id: string | undefined; id !== kept; ) {
      id = kept
      await stored((store) => store.set(kept))
    }
    isStoring = false
  }

  const sink: Sink = async (type: string, detail: unknown, position = connection.lastEventId) => {
    if (schemas && type === 'event') {
      const event = detail as ReceivedEvent
      try {
        detail = { ...event, data: await validate(schemas, event) }
      } catch (cause) {
        type = 'error'
        detail = connectionError('ERR_SSE_DATA', { id: event.id, cause })
      }
    }
    if (end) return
    const before = connection.lastEventId
    connection.lastEventId = position
    if (detail === 'connecting') connection.attempts++
    if (type === 'state') connection.state = detail as ConnectionState
    if (type === 'closed') {
      end = detail as ConnectionEnd
      signal?.removeEventListener('abort', abort)
      connection.state = 'closed'
      emit('state', 'closed')
    }
    for (const queue of queues) {
      if (!queue.items.length) queue.settled = before
      if (type === 'event' || type === 'gap') queue.items.push([detail, position])
      // What was asked to stop has nothing more to say.
      if (end?.reason === 'closed' || end?.reason === 'aborted') queue.items.length = 0
    }
    emit(type, detail)
    if (type === 'open' && (detail as OpenInfo).resumed) emit('resumed', detail)
    keep()
    emit('')
    while (!end && [...queues].some(({ items }) => items.length >= maxQueued)) {
      await change()
    }
  }

  const connection: Mutable<Connection<Channels>> = {
    state: 'connecting',
    lastEventId: kept,
    attempts: 0,
    closed: new Promise((resolve) => on('closed', resolve)),
    on,
    channel: (name, listener) =>
      on('event', (event: ReceivedEvent<string, never>) => covers(name, event.channel) && listener(event)),
    reconnect: () => source.reconnect(),
    close: () => source.end('closed'),
    async *[Symbol.asyncIterator]() {
      const queue: Queue = { items: [], settled: '' }
      queues.add(queue)
      try {
        for (;;) {
          while (!queue.items.length) {
            if (end?.error) throw end.error
            if (end) return
            await change()
          }
          yield queue.items[0]![0] as EventOf<Channels> | ReceivedGap
          // Asked for the next one: this one is done with.
          queue.settled = queue.items.shift()?.[1] ?? connection.lastEventId
          keep()
          emit('')
        }
      } finally {
        queues.delete(queue)
        keep()
        emit('')
      }
    },
  }

  const abort = (): void => source.end('aborted')
  const source = makeSource(async () => {
    // So that whoever has just connected can listen first.
    await undefined
    const position = (await stored((store) => store.get())) || connection.lastEventId
    if (signal?.aborted) abort()
    kept = connection.lastEventId = position
    return position
  }, sink)
  signal?.addEventListener('abort', abort)
  return connection
}
