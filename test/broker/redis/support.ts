import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { RedisClient } from '../../../src/broker/redis/client.ts'
import type { RedisBroker, RedisBrokerOptions } from '../../../src/broker/redis/index.ts'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { RedisServer } from '../../support/redis-server.ts'

/** The clients that the broker takes, as an application makes them. */
export const CLIENTS: Record<string, (url: string) => RedisClient> = {
  redis: (url) => createClient({ url }),
  ioredis: (url) => new Redis(url, { lazyConnect: true }),
}

/** A server for all tests of a file. */
export function serverOfFile(...options: readonly string[]): { readonly server: RedisServer; readonly url: string } {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start(...options)
  })
  afterAll(() => server?.stop())
  return {
    get server() {
      return server
    },
    get url() {
      return server.url
    },
  }
}

/** A server for one test. */
export async function serverOfTest(...options: readonly string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...options)
  onTestFinished(() => server.stop())
  return server
}

let prefixes = 0

/** A separate log. */
export function newPrefix(): string {
  return `t${++prefixes}`
}

/** A broker that is closed after the test. */
export function brokerOf(url: string, options: Partial<RedisBrokerOptions> = {}): RedisBroker {
  const broker = redisBroker({ client: createClient({ url }), ...options })
  onTestFinished(() => broker.close())
  return broker
}
