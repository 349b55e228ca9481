// express-sse-hub/broker: the parts for authors of brokers. Applications do not need them.

export { type Clock, systemClock } from '../clock.ts'
export { type Cursor, formatCursor, newEpoch, parseCursor } from '../protocol/cursor.ts'
export {
  type Broker,
  type BrokerListener,
  type EphemeralReceipt,
  type Group,
  type HandedOver,
  isEphemeral,
  isLoss,
  type Loss,
  type Outcome,
  type Page,
  type PageLimit,
  type Receipt,
  type Selector,
} from './broker.ts'
export { EphemeralEvent } from './ephemeral-event.ts'
export { History } from './history.ts'
export { idempotencyMismatch, KeyMemory, payloadDigest, scopedKey } from './idempotency.ts'
export { firstAfter, type Merged, mergePage, type Series } from './merge.ts'
export {
  type EntryRetentionOptions,
  type HistoryOptions,
  type ResolvedHistoryOptions,
  type RetentionOptions,
  resolveHistoryOptions,
} from './retention.ts'
export { type NewEvent, StoredEvent } from './stored-event.ts'
