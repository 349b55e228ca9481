import type { Cursor } from '../../protocol/cursor.ts'
import type { Group, Outcome, Receipt } from '../broker.ts'
import { idempotencyMismatch } from '../idempotency.ts'
import { StoredEvent } from '../stored-event.ts'
import type { Exceptions } from './log/batch.ts'

/** One outcome for each group of a batch that was appended after `endBefore`. */
export function outcomesOf(groups: readonly Group[], endBefore: Cursor, exceptions: Exceptions | undefined): Outcome[] {
  const refused = new Map(exceptions?.refused)
  const duplicates = new Map(exceptions?.duplicates.map(([event, epoch, seq]) => [event, { epoch, seq }]))
  const { epoch } = endBefore
  let { seq } = endBefore
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
  groups: readonly Group[],
  outcomes: readonly Outcome[],
  prevs: readonly number[],
): StoredEvent[] {
  const stored: StoredEvent[] = []
  for (const [i, outcome] of outcomes.entries()) {
    if (!Array.isArray(outcome)) continue
    for (const [j, { id, duplicate }] of (outcome as readonly Receipt[]).entries()) {
      if (duplicate) continue
      stored.push(new StoredEvent(groups[i]![j]!, id.epoch, id.seq, prevs[stored.length]!))
    }
  }
  return stored
}

/** The number of appended events. */
export function countAppended(outcomes: readonly Outcome[]): number {
  let count = 0
  for (const outcome of outcomes) {
    if (Array.isArray(outcome)) for (const { duplicate } of outcome as readonly Receipt[]) count += duplicate ? 0 : 1
  }
  return count
}
