import { type LogEntry, type Seen, type Story, type Subscription, seqOf } from './story.ts'

/** What a checker says: nothing, or each violation with its evidence. */
export type Checker = (story: Story) => string[]

function isGap(seen: Seen): seen is Extract<Seen, { what: 'gap' }> {
  return seen.what === 'gap'
}

/** Each subscriber, one by one. */
function each(story: Story, check: (subscription: Subscription, log: readonly LogEntry[]) => string[]): string[] {
  return story.subscriptions.flatMap((subscription) => {
    const { name, channels } = subscription
    const log = story.log.filter(({ channel }) => channels.includes(channel))
    return check(subscription, log).map((violation) => `${name}: ${violation}`)
  })
}

/** Every event in the log after the first position, on the channels of a subscriber, was delivered or reported as a gap. */
export const noSilentLoss: Checker = (story) =>
  each(story, ({ seen }, log) => {
    const violations: string[] = []
    const kept = new Map(log.map(({ seq, uid }) => [seq, uid]))
    /** Every event up to here was delivered or reported. */
    let settled: number | undefined
    for (const [i, item] of seen.entries()) {
      if (item.what === 'open' && item.id !== undefined) settled ??= seqOf(item.id)
      if (isGap(item)) settled = seqOf(item.to)
      if (item.what !== 'event' || settled === undefined) continue
      const seq = seqOf(item.id)
      // What is not in the log is the phantom checker's business: a gap follows that puts this right.
      if (kept.get(seq) !== item.uid) {
        settled = seq
        continue
      }
      const missed = log.filter((entry) => entry.seq > settled! && entry.seq < seq)
      // Events that a rollback took away, and that are in the log now under other numbers, were never missed.
      if (missed.length > 0 && !seen.slice(i).some(isGap))
        violations.push(`${missed.length} not delivered before ${seq}, first ${missed[0]!.uid} (${missed[0]!.seq})`)
      settled = seq
    }
    const rest = log.filter(({ seq }) => settled === undefined || seq > settled)
    if (rest.length > 0)
      violations.push(`${rest.length} not delivered at the end, first ${rest[0]!.uid} (${rest[0]!.seq})`)
    return violations
  })

/** Nothing comes twice, unless a gap in between says that the log had gone back. */
export const noDuplicates: Checker = (story) =>
  each(story, ({ seen }) => {
    const violations: string[] = []
    let since = new Set<string>()
    for (const item of seen) {
      if (isGap(item)) since = new Set()
      if (item.what !== 'event') continue
      if (since.has(item.uid)) violations.push(`${item.uid} came twice, the second time as ${item.id}`)
      since.add(item.uid)
    }
    return violations
  })

/** Events come in the order of the log, over all connections. */
export const inOrder: Checker = (story) =>
  each(story, ({ seen }) => {
    const violations: string[] = []
    let last = -1
    for (const item of seen) {
      if (isGap(item)) last = seqOf(item.to)
      if (item.what !== 'event') continue
      const seq = seqOf(item.id)
      if (seq <= last) violations.push(`${item.uid} (${seq}) came after ${last}`)
      last = seq
    }
    return violations
  })

/** A delivered event that is not in the log was rolled back: a later gap reports it. */
export const noPhantoms: Checker = (story) =>
  each(story, ({ seen }, log) => {
    const kept = new Map(log.map(({ seq, uid }) => [seq, uid]))
    return seen.flatMap((item, i) => {
      if (item.what !== 'event' || kept.get(seqOf(item.id)) === item.uid) return []
      const told = seen.slice(i).some((later) => isGap(later) && later.reason !== 'trimmed')
      return told ? [] : [`${item.uid} (${item.id}) is not in the log, and no gap reports it`]
    })
  })

/** What was acknowledged is in the log, once, under the ID that was given. */
export const acknowledgedIsKept: Checker = ({ log, publications, lossy }) => {
  const entries = new Map<string, LogEntry[]>()
  for (const entry of log) entries.set(entry.uid, [...(entries.get(entry.uid) ?? []), entry])
  return publications.flatMap(({ uid, id }) => {
    const found = entries.get(uid) ?? []
    if (found.length > 1) return [`${uid} is in the log ${found.length} times`]
    if (id === undefined || lossy) return []
    if (found.length === 0) return [`${uid} was acknowledged as ${id} and is not in the log`]
    return found[0]!.seq === seqOf(id) ? [] : [`${uid} was acknowledged as ${id} and is ${found[0]!.seq}`]
  })
}

/** No gap is reported if nothing was lost. */
export const noFalseGaps: Checker = (story) =>
  story.lossy
    ? []
    : each(story, ({ seen }) =>
        seen.filter(isGap).map(({ reason, to }) => `a gap (${reason}) up to ${to}, though nothing was lost`),
      )

export const CHECKERS: Readonly<Record<string, Checker>> = {
  noSilentLoss,
  noDuplicates,
  inOrder,
  noPhantoms,
  acknowledgedIsKept,
  noFalseGaps,
}

/** All violations of all checkers, by name. */
export function check(story: Story): string[] {
  return Object.entries(CHECKERS).flatMap(([name, checker]) =>
    checker(story).map((violation) => `${name}: ${violation}`),
  )
}
