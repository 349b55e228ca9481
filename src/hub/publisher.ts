import type { Broker, EphemeralReceipt, Group, NewEvent, Receipt } from '../broker/broker.ts'
import { parseChannelName } from '../channel-name.ts'
import { SseError } from '../errors.ts'
import { optionsObject } from '../option.ts'
import { type DataText, encodeEnvelope, encodeFields, encodeValue } from '../protocol/encode.ts'
import { parseEventType } from '../protocol/fields.ts'
import { encodedLength } from '../protocol/frame.ts'
import { nextTurn } from '../server-clock.ts'

/** Options of a publish. */
export interface PublishOptions {
  /**
   * The event type. Default: none, which a browser passes to `onmessage`. Not `open`, `error`, `hub.*`; no CR, LF, NUL.
   */
  event?: string | undefined
  /**
   * Names this event within its channel, 1–200 printable ASCII characters. Publishing it again within 10 minutes
   * returns the first receipt with `duplicate: true`; another payload under the same key is
   * ERR_SSE_IDEMPOTENCY_MISMATCH. On an ephemeral channel it is a TypeError.
   */
  idempotencyKey?: string | undefined
  /**
   * 1–200 characters. A lagging or resuming subscriber receives only the newest event per channel and key, without a
   * gap. Live subscribers receive all of them.
   */
  conflationKey?: string | undefined
}

/**
 * The result of publishing an event. Code that publishes to ephemeral channels declares it as
 * `PublishReceipt<string | null>`: the type of a hub does not name the channels whose events have no ID.
 */
export interface PublishReceipt<Id extends string | null = string> {
  /** Its event ID; null on an ephemeral channel. */
  readonly id: Id
  readonly channel: string
  /** The event was published before with the same idempotency key; `id` is the ID of the first one. */
  readonly duplicate: boolean
  /** Open subscriptions of this process that match now, live or catching up; 0 for a duplicate. */
  readonly localSubscribers: number
}

/** The maximum that brokers accept in one commit. A group is never split, whatever its size. */
export const MAX_BATCH_EVENTS = 1_000
const MAX_BATCH_BYTES = 1_048_576

/** Checks and encodes an event. Throws the error of an invalid argument; nothing has happened then. */
export function newEvent(
  channel: unknown,
  data: unknown,
  options: PublishOptions | undefined,
  maxEventBytes: number,
): NewEvent {
  const { event, idempotencyKey, conflationKey } = optionsObject('publish()', options, [
    'event',
    'idempotencyKey',
    'conflationKey',
  ])
  return encodeNewEvent(
    {
      channel: parseChannelName(channel),
      data: encodeValue(data),
      event,
      idempotencyKey: idempotencyKey === undefined ? undefined : parseIdempotencyKey(idempotencyKey),
      conflationKey: conflationKey === undefined ? undefined : parseConflationKey(conflationKey),
    },
    maxEventBytes,
  )
}

/** The same for data that is already text, and for keys that were checked. */
export function encodeNewEvent(
  given: Pick<NewEvent, 'channel' | 'idempotencyKey' | 'conflationKey' | 'batch'> & {
    data: DataText
    event: string | undefined
  },
  maxEventBytes: number,
): NewEvent {
  const { channel, data, idempotencyKey, conflationKey, batch } = given
  const event = given.event === undefined ? undefined : parseEventType(given.event)
  const fields = encodeFields(event, data.text)
  const bytes = encodedLength(fields)
  if (bytes > maxEventBytes || isLargeInEnvelope(channel, event, data, 2 * maxEventBytes)) {
    throw new SseError(
      'ERR_SSE_EVENT_TOO_LARGE',
      `An encoded event must have at most ${maxEventBytes} bytes, and at most twice that in an envelope (maxEventBytes).`,
    )
  }
  const keys = { conflationKey, idempotencyKey, ...(batch === undefined ? {} : { batch }) }
  return { channel, event, data: data.text, json: data.json, fields, bytes, ...keys }
}

/** Whether an envelope makes the text much larger: control characters take six bytes each in a JSON string. */
function isLargeInEnvelope(
  channel: string,
  event: string | undefined,
  { text, json }: DataText,
  most: number,
): boolean {
  if (json || 6 * text.length <= most) return false
  return encodedLength(encodeEnvelope(channel, event, text, false)) > most
}

export function parseIdempotencyKey(key: unknown): string {
  if (typeof key === 'string' && /^[\x20-\x7e]{1,200}$/.test(key)) return key
  throw new SseError('ERR_SSE_IDEMPOTENCY_KEY', 'An idempotency key must be 1-200 printable ASCII characters.')
}

export function parseConflationKey(key: unknown): string {
  if (typeof key === 'string' && /^[^\0]{1,200}$/su.test(key) && key.isWellFormed()) return key
  throw new SseError(
    'ERR_SSE_CONFLATION_KEY',
    'A conflation key (conflationKey) must be a well-formed text of 1-200 characters without NUL.',
  )
}

/** Throws if a batch is too large for one commit. */
export function assertBatch(events: readonly NewEvent[]): void {
  if (events.length > MAX_BATCH_EVENTS || sizeOf(events) > MAX_BATCH_BYTES) {
    throw new SseError(
      'ERR_SSE_BATCH_TOO_LARGE',
      `A batch must have at most ${MAX_BATCH_EVENTS} events and ${MAX_BATCH_BYTES} bytes of encoded text, because it is one commit. Send several batches.`,
    )
  }
}

/** One publish that waits for its outcome. */
interface Call {
  readonly events: Group
  resolve(receipts: readonly (Receipt | EphemeralReceipt)[]): void
  reject(error: unknown): void
}

/**
 * Collects the events of one turn of the event loop, and passes them to the broker in one call. Events are joined
 * before the log, so no event is ever in the log without having been written to the live subscriptions.
 */
export class Publisher {
  readonly #broker: Broker
  readonly #ready: Promise<void>
  #queue: Call[] = []
  readonly #unsettled = new Set<Call>()
  #idle: (() => void)[] = []

  constructor(broker: Broker, ready: Promise<void>) {
    this.#broker = broker
    this.#ready = ready
  }

  /** Publishes events as one group, all or nothing. */
  publish(events: Group): Promise<readonly (Receipt | EphemeralReceipt)[]> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0) nextTurn(() => this.#flush())
      const group = { events, resolve, reject }
      this.#queue.push(group)
      this.#unsettled.add(group)
    })
  }

  /** Resolves when no publish is in progress. */
  async settled(): Promise<void> {
    if (this.#unsettled.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Gives up the publishes in progress: their outcome is unknown. */
  abandon(): void {
    const error = new SseError(
      'ERR_SSE_PUBLISH_UNKNOWN',
      'The hub closed before the broker answered. Retry with the same key.',
    )
    for (const group of [...this.#unsettled]) this.#settle(group, error)
  }

  #flush(): void {
    const queue = this.#queue
    this.#queue = []
    let groups: Call[] = []
    let events = 0
    let bytes = 0
    for (const group of queue) {
      const size = sizeOf(group.events)
      if (groups.length > 0 && (events + group.events.length > MAX_BATCH_EVENTS || bytes + size > MAX_BATCH_BYTES)) {
        this.#commit(groups)
        groups = []
        events = bytes = 0
      }
      groups.push(group)
      events += group.events.length
      bytes += size
    }
    this.#commit(groups)
  }

  #commit(groups: readonly Call[]): void {
    this.#ready
      .then(() => this.#broker.publish(groups.map((group) => group.events)))
      .then(
        (outcomes) => {
          for (const [i, group] of groups.entries()) this.#settle(group, outcomes[i]!)
        },
        (error) => {
          for (const group of groups) this.#settle(group, error)
        },
      )
  }

  /** `outcome`: receipts, or the error. */
  #settle(group: Call, outcome: unknown): void {
    if (!this.#unsettled.delete(group)) return
    if (Array.isArray(outcome)) group.resolve(outcome)
    else group.reject(outcome)
    if (this.#unsettled.size === 0) for (const fn of this.#idle.splice(0)) fn()
  }
}

function sizeOf(events: readonly NewEvent[]): number {
  let sum = 0
  for (const { bytes } of events) sum += bytes
  return sum
}
