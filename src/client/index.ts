export type { ChannelMap } from '../channel-types.ts'
export { connect } from './connect.ts'
export type { Connection } from './connection.ts'
export type { ConnectionError, ConnectionErrorCode } from './error.ts'
export type {
  ConnectionEnd,
  ConnectionEvents,
  ConnectionState,
  EventOf,
  OpenInfo,
  ReceivedEvent,
  ReceivedGap,
  ReceivedList,
  ReceivedSnapshot,
} from './events.ts'
export type { ConnectOptions, PerAttempt, RetryOptions } from './options.ts'
export type { SchemasOf, StandardSchema } from './schema.ts'
export { type PositionStore, sessionStore } from './store.ts'
