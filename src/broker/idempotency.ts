import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { SseError } from '../errors.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { NewEvent } from './broker.ts'

/** The lifetime of a key. */
export const KEY_LIFETIME_MS = 600_000
/** The number of keys that are remembered. */
export const MAX_KEYS = 100_000

/** The part of an event that a repeat must have too: everything that a subscriber could distinguish. */
export function payloadDigest({
  event,
  data,
  json,
  conflationKey,
  batch,
}: Pick<NewEvent, 'event' | 'data' | 'json' | 'conflationKey' | 'batch'>): string {
  return createHash('sha256')
    .update(JSON.stringify([event ?? null, json, conflationKey ?? null, batch ?? null]))
    .update('\n')
    .update(data)
    .digest('base64')
}

/** Keys are scoped to the channel; no channel name contains NUL. */
export function scopedKey({ channel, idempotencyKey }: Pick<NewEvent, 'channel' | 'idempotencyKey'>): string {
  return `${channel}\0${idempotencyKey}`
}

export function idempotencyMismatch(channel: string): SseError {
  return new SseError(
    'ERR_SSE_IDEMPOTENCY_MISMATCH',
    `This idempotency key was used on channel ${channel} for another payload. Retry with the same payload, or use a new key.`,
  )
}

interface Entry {
  readonly digest: string
  readonly id: Cursor
  readonly at: number
}

/** The idempotency keys of a log in memory. The oldest are forgotten first. */
export class KeyMemory {
  readonly #clock: Clock
  /** In order of use, which is order of age. */
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(key: string): Entry | undefined {
    this.#forget()
    return this.#entries.get(key)
  }

  add(key: string, digest: string, id: Cursor): void {
    this.#entries.set(key, { digest, id, at: this.#clock.monotonic() })
    this.#forget()
  }

  #forget(): void {
    const oldest = this.#clock.monotonic() - KEY_LIFETIME_MS
    for (const [key, entry] of this.#entries) {
      if (entry.at > oldest && this.#entries.size <= MAX_KEYS) return
      this.#entries.delete(key)
    }
  }
}
