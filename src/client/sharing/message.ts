import type { ConnectionError } from '../error.ts'
import type { ConnectionState } from '../events.ts'
import type { SourceEvents } from '../source.ts'

/** What the leader has heard, or where the group is (`sync`), as a link of a chain. */
export interface Told {
  readonly kind: 'told'
  readonly from: string
  readonly type: keyof SourceEvents | 'sync'
  readonly detail: unknown
  /** The position before it: it may only be told to those who stand there. */
  readonly prev: string
  /** The position after it. */
  readonly id: string
  /** The position after the last event or gap: what came since has nothing to show. */
  readonly last: string
  readonly state: ConnectionState
}

export type Message =
  | Told
  /** A tab has become the leader. */
  | { readonly kind: 'lead'; readonly from: string }
  /** A tab asks where the group is, and whether the leader is alive. */
  | { readonly kind: 'ask'; readonly from: string }
  /** A tab asks the leader to look after the connection. */
  | { readonly kind: 'wake' | 'reconnect'; readonly from: string }

/** An error as `postMessage` takes it: its own properties, and the text of its cause. */
export function portable(detail: unknown): unknown {
  if (detail instanceof Error) return { ...detail, message: detail.message, cause: `${detail.cause ?? ''}` }
  const { error } = (detail ?? {}) as { error?: unknown }
  return error ? { ...(detail as object), error: portable(error) } : detail
}

/** What `portable` was given. */
export function revived(type: string, detail: unknown): unknown {
  if (type === 'error') return Object.assign(new Error(), detail) as ConnectionError
  const { error } = (detail ?? {}) as { error?: unknown }
  return type === 'closed' && error ? { ...(detail as object), error: revived('error', error) } : detail
}

const KINDS = ['told', 'lead', 'ask', 'wake', 'reconnect']

/** Whether another script may have sent this, or a tab of the group. */
export function isMessage(data: unknown): data is Message {
  const { kind, from, prev, id, last } = (data ?? {}) as Partial<Record<string, unknown>>
  const isText = (value: unknown) => typeof value === 'string'
  return (
    KINDS.includes(kind as string) && isText(from) && (kind !== 'told' || (isText(prev) && isText(id) && isText(last)))
  )
}
