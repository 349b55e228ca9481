import type { Cursor } from '../../protocol/cursor.ts'
import type { Group, Outcome, Receipt } from '../broker.ts'
import { idempotencyMismatch } from '../idempotency.ts'

/** The outcomes of groups, from the answer of the script that appended them. */
export function outcomesOf(groups: readonly Group[], answer: string): Outcome[] {
  const [head, ...lines] = answer.split('\n') as [string, ...string[]]
  const [epoch, base] = head.split(' ') as [string, string]
  let seq = Number(base)
  if (lines.length === 0) {
    return groups.map((group) => group.map((): Receipt => ({ id: { epoch, seq: ++seq }, duplicate: false })))
  }
  const refused = new Map<number, string | undefined>()
  const duplicates = new Map<number, Cursor>()
  for (const line of lines) {
    const [kind, index, first, second] = line.split(' ') as [string, string, string, string]
    if (kind === 'd') duplicates.set(Number(index), { epoch: first, seq: Number(second) })
    else refused.set(Number(index), kind === 'r' ? first : undefined)
  }
  let at = 0
  return groups.map((group, i): Outcome => {
    const first = at
    at += group.length
    if (refused.has(i)) {
      const channel = refused.get(i)
      // Another node has taken it from the ingest stream.
      return channel === undefined ? [] : idempotencyMismatch(channel)
    }
    return group.map((_, j): Receipt => {
      const id = duplicates.get(first + j)
      return id === undefined ? { id: { epoch, seq: ++seq }, duplicate: false } : { id, duplicate: true }
    })
  })
}

/** The end of the log after a batch. */
export function endOf(answer: string): Cursor {
  const [epoch, , end] = answer.split('\n', 1)[0]!.split(' ') as [string, string, string]
  return { epoch, seq: Number(end) }
}
