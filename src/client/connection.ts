import { covers } from '../channel-name.ts'
import type { ChannelMap, HeardData } from '../channel-types.ts'
import { ConnectionError } from './error.ts'
import type { ConnectionEnd, ConnectionEvents, ConnectionState, EventOf, ReceivedEvent, ReceivedGap } from './events.ts'
import type { ConnectOptions } from './options.ts'
import { schemaOf } from './schema.ts'
import type { Sink, Source } from './source.ts'

/** A subscription to channels of a hub that lasts until there is a reason for it to end. */
export interface Connection<Channels = ChannelMap> extends AsyncIterable<EventOf<Channels> | ReceivedGap> {
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
  channel<const C extends string>(
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
  wake?: (() => void) | undefined
}

/** Those who listen, on top of whatever the events come from. */
export function connectionOf<Channels>(
  options: ConnectOptions<Channels>,
  makeSource: (position: string, sink: Sink) => Source,
): Connection<Channels> {
  const { store, schemas = {}, maxQueued = 100, signal } = options
  const listeners: { [type: string]: Set<{ listener: (detail: never) => void }> } = {}
  const queues = new Set<Queue>()
  let state: ConnectionState = 'connecting'
  let position = options.lastEventId ?? ''
  let kept: string | undefined
  let source: Source | undefined
  let end: ConnectionEnd | undefined
  let atEnd!: (end: ConnectionEnd) => void
  const closed = new Promise<ConnectionEnd>((resolve) => (atEnd = resolve))
  /** Those who wait for room in the queues. */
  let room: (() => void) | undefined

  function emit(type: string, detail: unknown): void {
    for (const { listener } of [...(listeners[type] ?? [])]) {
      try {
        listener(detail as never)
      } catch (error) {
        // As an EventTarget does: it is told to whoever looks after uncaught errors, and disturbs nobody else.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** Stores the position behind which nothing waits any more. */
  async function keep(): Promise<void> {
    let slowest: Queue | undefined
    for (const queue of queues) if (queue.items.length > (slowest?.items.length ?? 0)) slowest = queue
    const id = slowest?.settled ?? position
    if (id === kept) return
    kept = id
    try {
      await store?.set(id)
    } catch (cause) {
      emit('error', new ConnectionError('ERR_SSE_STORE', 'The store failed.', { cause }))
    }
  }

  const isFull = () => !end && [...queues].some(({ items }) => items.length >= maxQueued)

  async function untilRoom(): Promise<void> {
    while (isFull()) await new Promise<void>((resolve) => (room = resolve))
  }

  function close(reason: ConnectionEnd['reason']): void {
    if (source) source.end(reason)
    else tell('closed', { reason }, position)
  }

  function tell(type: string, detail: unknown, next: string): Promise<void> | undefined {
    if (end) return
    position = next
    if (type === 'closed') {
      state = 'closed'
      end = detail as ConnectionEnd
      signal?.removeEventListener('abort', abort)
      room?.()
      for (const queue of queues) {
        // What was asked to stop has nothing more to say.
        if (end.reason === 'closed' || end.reason === 'aborted') queue.items.length = 0
        queue.wake?.()
      }
      emit(type, detail)
      atEnd(end)
      return
    }
    if (type === 'state') state = detail as ConnectionState
    if (type === 'event' || type === 'gap') {
      for (const queue of queues) {
        queue.items.push([detail, next])
        queue.wake?.()
      }
    }
    emit(type, detail)
    if (type === 'open' && (detail as { resumed: boolean }).resumed) emit('resumed', detail)
    keep()
    return isFull() ? untilRoom() : undefined
  }

  async function check(event: ReceivedEvent, validating: Promise<unknown> | unknown, next: string): Promise<void> {
    let cause: unknown
    try {
      const result = (await validating) as { value: unknown; issues?: unknown }
      cause = result.issues
      if (!cause) return tell('event', { ...event, data: result.value }, next)
    } catch (error) {
      cause = error
    }
    const message = 'Data of an event is not what its schema says.'
    await tell('error', new ConnectionError('ERR_SSE_DATA', message, { id: event.id, cause }), next)
  }

  const sink: Sink = (type, detail, next) => {
    if (type === 'event') {
      const event = detail as unknown as ReceivedEvent
      const schema = schemaOf(schemas, event.channel)?.['~standard']
      if (schema) return check(event, new Promise((resolve) => resolve(schema.validate(event.data))), next)
    }
    return tell(type, detail, next)
  }

  async function begin(): Promise<void> {
    try {
      position = (await store?.get()) || position
    } catch (cause) {
      emit('error', new ConnectionError('ERR_SSE_STORE', 'The store failed.', { cause }))
    }
    kept = position
    if (!end) source = makeSource(position, sink)
  }

  const abort = () => close('aborted')
  signal?.addEventListener('abort', abort)
  // A turn later, so that whoever has just connected can listen first.
  if (signal?.aborted) queueMicrotask(abort)
  else queueMicrotask(begin)

  function on(type: string, listener: (detail: never) => void): () => void {
    const entry = { listener }
    listeners[type] ??= new Set()
    listeners[type].add(entry)
    return () => listeners[type]!.delete(entry)
  }

  return {
    get state() {
      return state
    },
    get lastEventId() {
      return position
    },
    get attempts() {
      return source?.attempts ?? 0
    },
    closed,
    on,
    channel: (name, listener) =>
      on('event', (event: ReceivedEvent<string, never>) => covers(name, event.channel) && listener(event)),
    reconnect: () => source?.reconnect(),
    close: () => close('closed'),
    async *[Symbol.asyncIterator]() {
      const queue: Queue = { items: [], settled: position }
      queues.add(queue)
      try {
        for (;;) {
          while (!queue.items.length) {
            if (end?.reason === 'failed') throw end.error
            if (end) return
            await new Promise<void>((resolve) => (queue.wake = resolve))
          }
          yield queue.items[0]![0] as EventOf<Channels> | ReceivedGap
          // Asked for the next one: this one is done with.
          queue.settled = queue.items.shift()?.[1] ?? position
          keep()
          room?.()
        }
      } finally {
        queues.delete(queue)
        keep()
        room?.()
      }
    },
  }
}
