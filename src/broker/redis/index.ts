import { type RedisBrokerOptions, resolveRedisOptions } from './options.ts'
import { FleetBroker, type RedisBroker, type RedisBrokerStats } from './redis-broker.ts'

export type { HistoryOptions, RetentionOptions } from '../retention.ts'
export type { RedisClient } from './client.ts'
export type { RedisBroker, RedisBrokerOptions, RedisBrokerStats }

/**
 * A log on a Redis or Valkey server (7.0 or newer) that any number of processes share: subscribers of all nodes receive
 * an event that is published on one node, and a client that reconnects to another node resumes where it stopped. One
 * broker serves one hub. Throws a TypeError that names an invalid option. A problem with the server rejects
 * `hub.ready()`.
 */
export function redisBroker(options: RedisBrokerOptions): RedisBroker {
  return new FleetBroker(resolveRedisOptions(options))
}
