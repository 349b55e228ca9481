import type { Selector } from '../../src/broker/broker.ts'
import { StoredEvent } from '../../src/broker/stored-event.ts'
import { covers, isPattern } from '../../src/channel-name.ts'
import { encodedLength } from '../../src/protocol/frame.ts'

/** An event of a log, `bytes` bytes long once encoded. */
export function stored(
  seq: number,
  channel: string,
  { prev = 0, data = '', bytes = 0 }: { prev?: number; data?: string; bytes?: number } = {},
): StoredEvent {
  const fields = `data: ${data.padEnd(bytes - 8, '.')}\n\n`
  const none = { event: undefined, conflationKey: undefined, idempotencyKey: undefined }
  const event = { channel, data, json: false, fields, bytes: encodedLength(fields), ...none }
  return new StoredEvent(event, 'AAAAAA', seq, prev)
}

export function selector(...names: readonly string[]): Selector {
  return {
    channels: names.filter((name) => !isPattern(name)),
    patterns: names.filter(isPattern),
    matches: (channel) => names.some((name) => covers(name, channel)),
  }
}
