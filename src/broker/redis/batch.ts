import type { Group } from '../broker.ts'
import { payloadDigest, scopedKey } from '../idempotency.ts'
import type { ResolvedHistoryOptions } from '../retention.ts'
import { encodeEntry } from './entry.ts'

/** A group, and the ID of its entry in the ingest stream, if it has one. */
export interface Appendix {
  readonly group: Group
  readonly entry?: string | undefined
}

/** Groups in the form that the script takes: see `APPEND`. */
export function encodeBatch(appendices: readonly Appendix[], history: ResolvedHistoryOptions): string[] {
  const channels = new Set<string>()
  const events: string[] = []
  const keys: string[] = []
  const entries: string[] = []
  let count = 0
  for (const [i, { group, entry }] of appendices.entries()) {
    for (const event of group) {
      count++
      channels.add(event.channel)
      events.push(event.channel, encodeEntry(event))
      if (event.idempotencyKey !== undefined) {
        // 132 bits of it distinguish payloads.
        keys.push(`${count}`, scopedKey(event), payloadDigest(event).slice(0, 22))
      }
    }
    if (entry !== undefined) entries.push(`${i + 1}`, entry)
  }
  const args = [`${history.maxBytes}`, `${history.maxChannels}`, `${channels.size}`]
  for (const channel of channels) args.push(channel, `${history.retentionOf(channel).maxEvents}`)
  args.push(`${count}`)
  for (const field of events) args.push(field)
  if (keys.length + entries.length === 0) args.push('')
  else {
    args.push(appendices.map(({ group }) => group.length).join(','))
    args.push(`${keys.length / 3}`, ...keys, `${entries.length / 2}`, ...entries)
  }
  return args
}
