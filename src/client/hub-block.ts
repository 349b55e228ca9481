import type { Block } from './blocks.ts'

/** What a stream says of itself with `hub.open`. */
export interface HubStream {
  readonly channels: readonly string[]
  readonly resumed: boolean
  readonly heartbeatIntervalMs: number
  /** Whether events are wrapped with the name of their channel. Hubs that do not say so wrap them. */
  readonly envelope?: boolean
}

/** What a block is to us. A hub keeps all names in `hub.` for itself; of those that we do not know only the ID counts. */
export function typeOf({ event }: Block, hub: HubStream | undefined): string {
  const known = /^hub\.(open|gap|finished|closed)$/.exec(event!)?.[1]
  return known ?? (hub && event?.startsWith('hub.') ? 'position' : 'event')
}

const isText = (value: unknown) => typeof value === 'string'

/**
 * What a block holds. Nothing of it is believed before it was looked at: the data of an event may be of any shape, and on
 * a stream without envelopes a visitor may publish what looks like one. Throws for another shape.
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
  if (type !== 'event' && type !== 'open' && type !== 'gap') return {}
  throw new TypeError(`another shape: ${data.slice(0, 99)}`)
}
