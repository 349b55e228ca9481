import type { SseError } from '../../errors.ts'
import { type Cursor, formatCursor } from '../../protocol/cursor.ts'
import { EventFrame } from '../../protocol/frame.ts'
import type { NewEvent, Receipt, StoredEvent } from '../broker.ts'
import { idempotencyMismatch } from '../idempotency.ts'
import type { Special } from './messages.ts'

export type Outcome = readonly Receipt[] | SseError

/** One outcome for each group of a batch that was appended after `base`. */
export function outcomesOf(
  groups: readonly (readonly NewEvent[])[],
  base: Cursor,
  special: Special | undefined,
): Outcome[] {
  const refused = new Map(special?.refused)
  const duplicates = new Map(special?.duplicates.map(([event, epoch, seq]) => [event, { epoch, seq }]))
  const { epoch } = base
  let { seq } = base
  let from = 0
  return groups.map((group, i) => {
    const channel = refused.get(i)
    const first = from
    from += group.length
    if (channel !== undefined) return idempotencyMismatch(channel)
    return group.map((_, j): Receipt => {
      const id = duplicates.get(first + j)
      return id === undefined ? { id: { epoch, seq: ++seq }, duplicate: false } : { id, duplicate: true }
    })
  })
}

/** The events that were appended, as the log has them. */
export function storedEvents(
  groups: readonly (readonly NewEvent[])[],
  outcomes: readonly Outcome[],
  prevs: readonly number[],
): StoredEvent[] {
  const stored: StoredEvent[] = []
  for (const [i, outcome] of outcomes.entries()) {
    if (!Array.isArray(outcome)) continue
    for (const [j, { id, duplicate }] of (outcome as readonly Receipt[]).entries()) {
      if (duplicate) continue
      const given = groups[i]![j]!
      const { channel, event, data, json, conflationKey, idempotencyKey, fields } = given
      const frame = new EventFrame(formatCursor(id), given)
      const prev = prevs[stored.length]!
      // Field by field: a spread takes several times as long, and this is done for every event.
      stored.push({ channel, event, data, json, conflationKey, idempotencyKey, fields, seq: id.seq, prev, frame })
    }
  }
  return stored
}

/** How many events were appended. */
export function countAppended(outcomes: readonly Outcome[]): number {
  let count = 0
  for (const outcome of outcomes) {
    if (Array.isArray(outcome)) for (const { duplicate } of outcome as readonly Receipt[]) count += duplicate ? 0 : 1
  }
  return count
}
