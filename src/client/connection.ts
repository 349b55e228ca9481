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
  ReceivedList,
  ReceivedSnapshot,
} from './events.ts'
import type { ConnectOptions } from './options.ts'
import { validate } from './schema.ts'
import type { Sink, Source } from './source.ts'
import type { PositionStore } from './store.ts'

/** The items of an iterator. */
type ReceivedItem<Channels> = EventOf<Channels> | ReceivedGap | ReceivedSnapshot | ReceivedList

/** A subscription to channels of a hub that reconnects until it has a reason to end. */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export interface Connection<Channels = any> extends AsyncIterable<ReceivedItem<Channels>> {
  readonly state: ConnectionState
  /** The position: everything up to this ID was delivered. `''` = none. */
  readonly lastEventId: string
  /** Requests so far. */
  readonly attempts: number
  /** The reason for the end, once it has ended. Never rejects. */
  readonly closed: Promise<ConnectionEnd>
  /** Returns a function that removes the listener. An error that a listener throws is reported as uncaught. */
  on<K extends keyof ConnectionEvents<Channels>>(
    type: K,
    listener: (detail: ConnectionEvents<Channels>[K]) => void,
  ): () => void
  /** Listens to the events of one channel, or of all channels that a pattern matches. */
  channel<const C extends ChannelEntry<Channels>>(
    name: C,
    listener: (event: ReceivedEvent<string, HeardData<Channels, C>>) => void,
  ): () => void
  /** Drops the open connection and connects now, after a change of the values of `headers` for example. */
  reconnect(): void
  /** Ends the connection permanently. Only `closed` is emitted afterwards. */
  close(): void
}

/** The items that wait for one iterator. The consumer works on the first item until it requests the next. */
interface Queue {
  readonly items: [item: unknown, position: string][]
  /** The position before the first item. */
  settled: string
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** The listeners and iterators of a source. */
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

  /** Resolves when an item was put into a queue, or taken out. */
  const change = () => new Promise((resolve) => target.addEventListener('', resolve, { once: true }))

  /** The result of the store. After a failure the store is not called again. */
  async function stored<T>(use: (store: PositionStore) => T): Promise<Awaited<T> | undefined> {
    try {
      return store && (await use(store))
    } catch (cause) {
      if (store) emit('error', connectionError('ERR_SSE_STORE', { cause }))
      store = undefined
      return
    }
  }

  /** Stores the position after the last item that every iterator has finished. */
  function keep(): void {
    let id = connection.lastEventId
    let most = 0
    for (const { items, settled } of queues) if (items.length > most) [most, id] = [items.length, settled]
    if (id === kept) return
    kept = id
    if (!isStoring) storeKept()
  }

  /** One position at a time, and then the newest: a slow store does not fall behind. */
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
      if (/^(event|gap|snapshot|list)$/.test(type)) queue.items.push([detail, position])
      // An end that the application requested delivers nothing more.
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
          yield queue.items[0]![0] as ReceivedItem<Channels>
          // The consumer requests the next item, so it has finished this one.
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
    // The caller of connect() adds its listeners first.
    await undefined
    const position = (await stored((store) => store.get())) || connection.lastEventId
    if (signal?.aborted) abort()
    kept = connection.lastEventId = position
    return position
  }, sink)
  signal?.addEventListener('abort', abort)
  return connection
}
