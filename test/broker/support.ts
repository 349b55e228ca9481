import type { Selector, StoredEvent } from '../../src/broker/broker.ts'
import { covers, isPattern } from '../../src/channel-name.ts'
import { EventFrame } from '../../src/protocol/frame.ts'

/** An event of a log, `bytes` bytes long once encoded. */
export function stored(
  seq: number,
  channel: string,
  { prev = 0, data = '', bytes = 0 }: { prev?: number; data?: string; bytes?: number } = {},
): StoredEvent {
  const fields = `data: ${data.padEnd(bytes - 8, '.')}\n\n`
  const source = { channel, event: undefined, data, json: false, fields }
  const frame = new EventFrame(String(seq), source)
  return { ...source, conflationKey: undefined, idempotencyKey: undefined, seq, prev, frame }
}

export function selector(...names: readonly string[]): Selector {
  return {
    channels: names.filter((name) => !isPattern(name)),
    patterns: names.filter(isPattern),
    matches: (channel) => names.some((name) => covers(name, channel)),
  }
}
