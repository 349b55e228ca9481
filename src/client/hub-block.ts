import type { Block } from './blocks.ts'

/** The content of `hub.open`. */
export interface HubStream {
  readonly channels: readonly string[]
  readonly resumed: boolean
  readonly heartbeatIntervalMs: number
  /** Whether events are wrapped with the name of their channel. Hubs that omit this wrap them. */
  readonly envelope?: boolean
}

/**
 * The meaning of a block for the client. Names that begin with `hub.` belong to the hub; of unknown ones only the ID
 * counts.
 */
export function typeOf({ event }: Block, hub: HubStream | undefined): string {
  const known = /^hub\.(open|gap|list|snapshot|finished|closed)$/.exec(event!)?.[1]
  return known ?? (hub && event?.startsWith('hub.') ? 'position' : 'event')
}

const isText = (value: unknown) => typeof value === 'string'

/**
 * The content of a block. It is checked before use: the data of an event may have any shape, and on a stream without
 * envelopes a visitor may publish data that looks like one. Throws for another shape.
 */
export function detailOf(type: string, { event, data }: Block, hub: HubStream | undefined): Record<string, unknown> {
  if (type === 'event' && (!hub || hub.envelope === false)) return { channel: '', event, data }
  const value = JSON.parse(data)
  if (type === 'event' && isText(value.channel)) {
    return { channel: value.channel, event: isText(value.event) ? value.event : undefined, data: value.data }
  }
  const areChannels = Array.isArray(value?.channels) && value.channels.every(isText)
  if (type === 'open' && areChannels && value.heartbeatIntervalMs >= 0)
    return { ...value, resumed: value.resumed === true }
  if (type === 'gap' && areChannels && isText(value.reason) && isText(value.to)) return { ...value, gap: true }
  if (type === 'list' && areChannels && isText(value.pattern)) return { ...value, list: true }
  if (type === 'snapshot' && isText(value?.channel)) return { ...value, snapshot: true }
  if (type === 'position') return {}
  throw new TypeError(`another shape: ${data.slice(0, 99)}`)
}
