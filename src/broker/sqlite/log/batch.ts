import type { Group, NewEvent } from '../../broker.ts'

// The data of an append to the writer, and of its answer.

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

/** The state of a log, in every answer of the writer. */
export interface LogState {
  /** The end of the log before the request. After a commit in doubt it may differ from the end in the last answer. */
  readonly endBefore: number
  /** More rows remain to be swept. */
  readonly sweepAgain: boolean
}

/** The answer to an append: every event that is not an exception has the next `seq` after `endBefore`. */
export interface Appended extends LogState {
  /** The `prev` of each appended event. */
  readonly prevs: readonly number[]
  readonly exceptions: Exceptions | undefined
}

/** The part of a batch that was not appended. It is also stored in the file, in case the answer is lost. */
export interface Exceptions {
  /** The index of each group that was refused for a key, and the channel of the key. */
  readonly refused: readonly (readonly [group: number, channel: string])[]
  /** The index of each event that the log already had, and its ID. */
  readonly duplicates: readonly (readonly [event: number, epoch: string, seq: number])[]
}

const WIDTH = 8

/** Packs the events that the log keeps: not the ephemeral ones, so that a group may have none. */
export function packEvents(groups: readonly Group[]): Batch {
  const values: (string | number | boolean | null)[] = []
  const sizes = groups.map((group) => {
    let size = 0
    for (const { channel, event, data, json, conflationKey, idempotencyKey, bytes, batch, ephemeral } of group) {
      if (ephemeral) continue
      size++
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
    return size
  })
  return { groups: sizes, values }
}

/** Several batches as one, in their order. */
export function joinBatches(batches: readonly Batch[]): Batch {
  if (batches.length === 1) return batches[0]!
  return { groups: batches.flatMap(({ groups }) => groups), values: batches.flatMap(({ values }) => values) }
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
