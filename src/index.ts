export type {
  Broker,
  BrokerListener,
  Group,
  Loss,
  NewEvent,
  Outcome,
  Page,
  PageLimit,
  Receipt,
  Selector,
} from './broker/broker.ts'
export { type MemoryBrokerOptions, memoryBroker } from './broker/memory-broker.ts'
export type { EntryRetentionOptions, HistoryOptions, RetentionOptions } from './broker/retention.ts'
export type { StoredEvent } from './broker/stored-event.ts'
export {
  type ChannelPattern,
  type ChannelSelection,
  channelToken,
  fromChannelToken,
  pattern,
} from './channel-name.ts'
export type { ChannelData, ChannelMap } from './channel-types.ts'
export type { Clock } from './clock.ts'
export { type CloseReason, isSseError, SseError, type SseErrorCode } from './errors.ts'
export {
  type ChannelEvents,
  type ChannelHandle,
  ChannelHub,
  type EventsOptions,
  type PublishItem,
  type SubscribeOptions,
} from './express/channel-hub.ts'
export { gracefulShutdown } from './express/graceful-shutdown.ts'
export type { SubscribeVerdict } from './express/hooks.ts'
export { sse } from './express/middleware.ts'
export { problemHandler } from './express/problem.ts'
export type { ChannelRouterOptions, RouterOptions } from './express/router-options.ts'
export type { HubEvents } from './hub/emitter.ts'

export type { Gap, GapReason } from './hub/notice.ts'
export type { HubOptions } from './hub/options.ts'
export type { PublishOptions, PublishReceipt } from './hub/publisher.ts'
export type { ChannelEvent, ChannelGap, ChannelSnapshot } from './hub/reader.ts'
export type { Schema, SchemaIssue } from './hub/schemas.ts'
export type { HubCloseOptions } from './hub/shutdown.ts'
export type { HubStats } from './hub/stats.ts'
export type { Subscription } from './hub/subscription.ts'
export type { ListFunction, SnapshotFunction, SnapshotOptions } from './state/registrations.ts'
export type { EventStream, StreamOptions } from './stream/event-stream.ts'
export { eventStream } from './stream/http-event-stream.ts'
export type { SseOptions } from './stream/options.ts'
export type { SendOptions } from './stream/send.ts'
export type { EventSourceInput, StreamItem, StreamResult } from './stream/source.ts'
