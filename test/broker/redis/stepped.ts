import { createClient } from 'redis'
import { onTestFinished } from 'vitest'
import { type Connect, type ConnectionListener, clientOption } from '../../../src/broker/redis/client.ts'
import {
  type RedisBrokerOptions,
  type RedisBrokerSettings,
  resolveRedisOptions,
} from '../../../src/broker/redis/options.ts'
import { FleetBroker } from '../../../src/broker/redis/redis-broker.ts'
import type { Script } from '../../../src/broker/redis/scripts.ts'

/** The settings of a broker whose connections the test makes. */
export function settingsWith(connect: Connect, options: Partial<RedisBrokerOptions> = {}): RedisBrokerSettings {
  return { ...resolveRedisOptions({ client: createClient(), ...options }), connect }
}

/** Decides the answer to a command: `ask` sends the command to the server. */
export type Step = (args: readonly string[], ask: () => Promise<unknown>) => Promise<unknown>

/** Real connections, with a step at each command. */
export function stepping(connect: Connect, step: Step): Connect {
  return (listener) => {
    const connection = connect(listener)
    return { ...connection, call: (args) => step(args, () => connection.call(args)) }
  }
}

/** A broker on a real server, with a step at each command. */
export function steppedBroker(url: string, options: Partial<RedisBrokerOptions>, step: Step): FleetBroker {
  const connect = stepping(clientOption(createClient({ url })), step)
  const broker = new FleetBroker(settingsWith(connect, options))
  onTestFinished(() => broker.close())
  return broker
}

/** Whether a command runs this script. */
export function runs(args: readonly string[], { sha }: Script): boolean {
  return args[0] === 'EVALSHA' && args[1] === sha
}

/** Connections without a server: the test answers every command. */
export class FakeServer {
  /** The listeners of all connections, in the order of their opening. */
  readonly opened: ConnectionListener[] = []
  /** The number of connections that the broker ended. */
  ended = 0
  /** Answers a command. */
  answer: (args: readonly string[]) => unknown = () => 'OK'
  /** Opens a connection. */
  open: () => unknown = () => undefined

  readonly connect: Connect = (listener) => {
    this.opened.push(listener)
    return {
      open: async () => this.open(),
      call: async (args) => this.answer(args),
      subscribe: async (channels) => void (await this.answer(['SUBSCRIBE', ...channels])),
      unsubscribe: async (channels) => void (await this.answer(['UNSUBSCRIBE', ...channels])),
      end: () => {
        this.ended++
      },
    }
  }
}

/** A promise that the test settles. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = unknown>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((...settle) => {
    ;[resolve, reject] = settle
  })
  return { promise, resolve, reject }
}

/** Resolves when everything that is due in this turn of the event loop has run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
