import { parseCursor } from '../../src/protocol/cursor.ts'

// What happened in a run, as its publishers and subscribers saw it. The checkers know nothing else.

/** An event as the log has it at the end. */
export interface LogEntry {
  readonly seq: number
  readonly channel: string
  /** The name that its publisher gave it. */
  readonly uid: string
}

/** What a publisher knows of one event. */
export interface Publication {
  readonly uid: string
  readonly channel: string
  /** The event ID that it was acknowledged with; undefined when it never was. */
  id: string | undefined
  /** When it was acknowledged, in the order of `Story.faults`: after how many of them. */
  afterFaults: number
}

/** What a subscriber saw, in order. */
export type Seen =
  | { readonly what: 'open'; readonly sent: string; readonly resumed: boolean; readonly id: string | undefined }
  | { readonly what: 'event'; readonly id: string; readonly channel: string; readonly uid: string }
  | { readonly what: 'gap'; readonly reason: string; readonly channels: readonly string[]; readonly to: string }
  | { readonly what: 'cut' }

/** What one subscriber saw, over all of its connections. */
export interface Subscription {
  readonly name: string
  readonly channels: readonly string[]
  readonly seen: readonly Seen[]
}

/** A whole run. */
export interface Story {
  readonly log: readonly LogEntry[]
  readonly publications: readonly Publication[]
  readonly subscriptions: readonly Subscription[]
  /** A fault removed acknowledged events, as a restored backup does. */
  readonly lossy: boolean
}

/** Where an event ID stands in the log. */
export function seqOf(id: string): number {
  const cursor = parseCursor(id)
  if (cursor === undefined) throw new Error(`${id} is not an event ID of a hub`)
  return cursor.seq
}
