import type { SseErrorCode } from '../../errors.ts'
import type { Group, Loss, NewEvent, Page, PageLimit } from '../broker.ts'
import type { HistoryOptions } from '../retention.ts'
import type { SqlValue } from './driver.ts'
import type { Durability } from './schema.ts'

/** What a thread is started with. */
export interface ThreadData {
  readonly role: 'writer' | 'reader'
  readonly file: string
  readonly history: HistoryOptions | undefined
  readonly durability: Durability
}

/** What the writer is asked. `time` is that of the log: see `LogTime`. */
export type WriterRequest =
  | { readonly do: 'open'; readonly epoch: string; readonly wallTime: number }
  | { readonly do: 'append'; readonly batch: Batch; readonly time: number; readonly sweep: boolean }
  /** Makes the epoch one that is remembered: a position of it is about to be given out. */
  | { readonly do: 'serve'; readonly time: number }
  /** Deletes some of what is not kept. */
  | { readonly do: 'sweep'; readonly time: number }
  | { readonly do: 'close' }

/** What the reader is asked. */
export type ReaderRequest =
  | { readonly do: 'open' }
  | {
      readonly do: 'read'
      readonly epoch: string
      readonly after: { readonly epoch: string; readonly seq: number } | undefined
      readonly selector: Names
      readonly max: PageLimit
      readonly time: number
    }
  | {
      readonly do: 'latest'
      readonly count: number
      readonly selector: Names
      readonly max: PageLimit
      readonly time: number
    }
  | { readonly do: 'backup'; readonly to: string }
  | { readonly do: 'close' }

/** A selector as it goes to another thread. */
export interface Names {
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
}

/** The state of a log, in every answer of the writer. */
export interface LogState {
  /** The end of the log before what was asked. It is not where the last answer left it when a commit was in doubt. */
  readonly base: number
  /** There is more to sweep. */
  readonly more: boolean
}

export interface Opened extends LogState {
  /** From here on the time of the log goes on. */
  readonly time: number
  readonly special: Special | undefined
}

/** What an append did: everything that is not special has the next `seq` after `base`. */
export interface Appended extends LogState {
  /** Of each event that was appended. */
  readonly prevs: readonly number[]
  readonly special: Special | undefined
}

/** What an append did besides appending. It is in the file as well, for when the answer is lost. */
export interface Special {
  /** The index of each group that was refused for a key, and the channel of the key. */
  readonly refused: readonly (readonly [group: number, channel: string])[]
  /** The index of each event that was there already, and its ID. */
  readonly duplicates: readonly (readonly [event: number, epoch: string, seq: number])[]
}

/** A page as it comes from the thread that reads. */
export interface PageRows {
  readonly status: Page['status']
  readonly from: number
  readonly items: readonly (EventRow | Loss)[]
  readonly upto: number
  readonly end: boolean
}

/** A kept event. */
export interface EventRow {
  readonly seq: number
  readonly prev: number
  readonly channel: string
  readonly json: boolean
  readonly type: string | null
  readonly key: string | null
  readonly data: string
}

/** An answer, or what went wrong. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number
      readonly error: { readonly code: SseErrorCode; readonly detail: string; readonly cause: string }
    }

/** Groups of events, flat: arrays of arrays are slower to clone. */
export interface Batch {
  /** The number of events in each group. */
  readonly groups: readonly number[]
  /** The fields of each event, one after the other: see `packEvents`. */
  readonly values: readonly (string | number | boolean | null)[]
}

export interface PackedEvent extends Omit<NewEvent, 'fields'> {
  /** The length of its fields. */
  readonly bytes: number
}

const WIDTH = 8

export function packEvents(groups: readonly Group[]): Batch {
  const values: (string | number | boolean | null)[] = []
  for (const group of groups) {
    for (const { channel, event, data, json, conflationKey, idempotencyKey, bytes, batch } of group) {
      values.push(
        channel,
        event ?? null,
        data,
        json,
        conflationKey ?? null,
        idempotencyKey ?? null,
        bytes,
        batch ?? null,
      )
    }
  }
  return { groups: groups.map((group) => group.length), values }
}

export function unpackEvent({ values }: Batch, index: number): PackedEvent {
  const at = index * WIDTH
  return {
    channel: values[at] as string,
    event: (values[at + 1] as string | null) ?? undefined,
    data: values[at + 2] as string,
    json: values[at + 3] as boolean,
    conflationKey: (values[at + 4] as string | null) ?? undefined,
    idempotencyKey: (values[at + 5] as string | null) ?? undefined,
    bytes: values[at + 6] as number,
    batch: (values[at + 7] as string | null) ?? undefined,
  }
}

/** Text as a column. The `node:sqlite` of older versions ends a text at its first NUL when it reads it. */
export function toColumn(text: string): SqlValue {
  return text.includes('\0') ? Buffer.from(text) : text
}

export function fromColumn(value: SqlValue): string {
  return typeof value === 'string' ? value : Buffer.from(value as Uint8Array).toString()
}
