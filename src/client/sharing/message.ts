import type { ConnectionError } from '../error.ts'
import type { ConnectionState } from '../events.ts'
import type { SourceEvents } from '../source.ts'

/** A message from the leader's hub, or the position of the group (`sync`), as a link of a chain. */
export interface Told {
  readonly kind: 'told'
  readonly from: string
  readonly type: keyof SourceEvents | 'sync'
  readonly detail: unknown
  /** The position before it: only a tab at this position may deliver it. */
  readonly prev: string
  /** The position after it. */
  readonly id: string
  /** The position after the last event, gap or state: later blocks only moved the position. */
  readonly last: string
  readonly state: ConnectionState
}

export type Message =
  | Told
  /** A tab has become the leader. */
  | { readonly kind: 'lead'; readonly from: string }
  /** A tab asks for the position of the group, and whether the leader is alive. */
  | { readonly kind: 'ask'; readonly from: string }
  /** A tab asks the leader to check the connection. */
  | { readonly kind: 'wake' | 'reconnect'; readonly from: string }

/** An error in a form that `postMessage` accepts: its own properties, and the text of its cause. */
export function portable(detail: unknown): unknown {
  if (detail instanceof Error) return { ...detail, message: detail.message, cause: `${detail.cause ?? ''}` }
  const { error } = (detail ?? {}) as { error?: unknown }
  return error ? { ...(detail as object), error: portable(error) } : detail
}

/** Reverses `portable`. */
export function revived(type: string, detail: unknown): unknown {
  if (type === 'error') return Object.assign(new Error(), detail) as ConnectionError
  const { error } = (detail ?? {}) as { error?: unknown }
  return type === 'closed' && error ? { ...(detail as object), error: revived('error', error) } : detail
}

/** Whether a block of this type brings content, and does not only move the position. */
export const isContent = (type: string) => /^(event|gap|snapshot|list)$/.test(type)

const isText = (value: unknown) => typeof value === 'string'
const isState = (value: unknown) => /^(connecting|open|waiting|closed)$/.test(`${value}`)

/** Whether a tab of the group may have sent this: another script, or a tab with an older version, may send anything. */
export function isMessage(data: unknown): data is Message {
  const { kind, from, prev, id, last, type, detail, state } = (data ?? {}) as Partial<Record<string, unknown>>
  if (!isText(from) || kind !== 'told') return isText(from) && /^(lead|ask|wake|reconnect)$/.test(`${kind}`)
  return isText(prev) && isText(id) && isText(last) && isState(state) && isDetail(`${type}`, detail)
}

function isDetail(type: string, detail: unknown): boolean {
  if (type === 'state') return isState(detail)
  if (type === 'sync' && detail === undefined) return true
  const { channel, channels } = (detail ?? {}) as Partial<Record<string, unknown>>
  if (/^(event|snapshot)$/.test(type)) return isText(channel)
  if (/^(open|gap|list|sync)$/.test(type)) return Array.isArray(channels) && channels.every(isText)
  return /^(error|closed|position)$/.test(type) && !!detail
}
