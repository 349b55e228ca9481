import { type RedisBrokerOptions, resolveRedisOptions } from './options.ts'
import { FleetBroker, type RedisBroker, type RedisBrokerStats } from './redis-broker.ts'

export type { HistoryOptions, RetentionOptions } from '../retention.ts'
export type { RedisClient } from './client.ts'
export type { RedisBroker, RedisBrokerOptions, RedisBrokerStats }

/**
 * A log on a Redis or Valkey server (7.0 or newer) that any number of processes share: what is published on one node is
 * heard on all, and a client that comes back to another node goes on where it was. One broker serves one hub. Throws a
 * TypeError that names a wrong option; what is wrong with the server rejects `hub.ready()`.
 */
export function redisBroker(options: RedisBrokerOptions): RedisBroker {
  return new FleetBroker(resolveRedisOptions(options))
}
