import type { Cursor } from '../../protocol/cursor.ts'
import type { EphemeralReceipt, Group, Outcome, Receipt } from '../broker.ts'
import { EphemeralEvent } from '../ephemeral-event.ts'
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
    from += countKept(group)
    if (channel !== undefined) return idempotencyMismatch(channel)
    let index = first
    return group.map(({ ephemeral }): Receipt | EphemeralReceipt => {
      if (ephemeral) return { id: null, duplicate: false }
      const id = duplicates.get(index++)
      return id === undefined ? { id: { epoch, seq: ++seq }, duplicate: false } : { id, duplicate: true }
    })
  })
}

/** The events that are handed over: the appended ones as the log has them, and the ephemeral ones in between. */
export function eventsOf(
  groups: readonly Group[],
  outcomes: readonly Outcome[],
  prevs: readonly number[],
): (StoredEvent | EphemeralEvent)[] {
  const events: (StoredEvent | EphemeralEvent)[] = []
  let appended = 0
  for (const [i, outcome] of outcomes.entries()) {
    if (!Array.isArray(outcome)) continue
    for (const [j, { id, duplicate }] of (outcome as readonly (Receipt | EphemeralReceipt)[]).entries()) {
      const event = groups[i]![j]!
      if (id === null) events.push(new EphemeralEvent(event))
      else if (!duplicate) events.push(new StoredEvent(event, id.epoch, id.seq, prevs[appended++]!))
    }
  }
  return events
}

/** The number of appended events. */
export function countAppended(outcomes: readonly Outcome[]): number {
  let count = 0
  for (const outcome of outcomes) {
    if (!Array.isArray(outcome)) continue
    for (const { id, duplicate } of outcome as readonly (Receipt | EphemeralReceipt)[])
      if (id !== null && !duplicate) count++
  }
  return count
}

function countKept(group: Group): number {
  let count = 0
  for (const { ephemeral } of group) if (!ephemeral) count++
  return count
}
