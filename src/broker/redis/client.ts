import { show } from '../../option.ts'

/**
 * A client of `redis` (node-redis) 6.3 or newer, or of `ioredis` 6 or newer. It is a template: the broker opens its own
 * connections with the same options, and neither uses nor closes this one, which need not be connected.
 */
export interface RedisClient {
  duplicate(...overrides: never[]): object
}

/** One life of one connection. It ends with the first error, and is never used again. */
export interface Connection {
  /** Once, first. */
  open(): Promise<unknown>
  call(args: readonly string[]): Promise<unknown>
  subscribe(channels: readonly string[]): Promise<void>
  unsubscribe(channels: readonly string[]): Promise<void>
  end(): void
}

/** The reports of a connection. */
export interface ConnectionListener {
  /** Must not throw: the libraries would drop the other messages of the same chunk. */
  message(channel: string, text: string): void
  ended(error: unknown): void
}

export type Connect = (listener: ConnectionListener) => Connection

/** The used part of node-redis. */
interface NodeRedis {
  readonly options?: { readonly socket?: object }
  duplicate(overrides: object): NodeRedis
  on(event: string, fn: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(channels: readonly string[], listener: (text: string, channel: string) => void): Promise<void>
  unsubscribe(channels: readonly string[], listener: (text: string, channel: string) => void): Promise<void>
  destroy(): void
}

/** The used part of ioredis. */
interface Ioredis {
  readonly isCluster?: boolean
  readonly stream?: { destroy(): void }
  duplicate(overrides: object): Ioredis
  on(event: string, fn: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  call(command: string, ...args: readonly string[]): Promise<unknown>
  subscribe(...channels: readonly string[]): Promise<unknown>
  unsubscribe(...channels: readonly string[]): Promise<unknown>
  disconnect(): void
}

/**
 * The option `client`: a function that makes its connections. Throws a TypeError for a value that is not a client of
 * one server.
 */
export function clientOption(client: unknown): Connect {
  const wanted =
    'must be a client of `redis` 6.3 or newer (createClient()) or of `ioredis` 6 or newer (new Redis()), for one server'
  if (typeof client !== 'object' || client === null) {
    throw new TypeError(`Option \`client\` ${wanted}, got ${show(client)}.`)
  }
  const has = (...methods: string[]) =>
    methods.every((method) => typeof (client as Record<string, unknown>)[method] === 'function')
  if ('masters' in client || (client as Ioredis).isCluster === true) {
    throw new TypeError(`Option \`client\` ${wanted}, got one of a cluster.`)
  }
  if (has('duplicate', 'call', 'subscribe', 'disconnect'))
    return (listener) => ioredisConnection(client as Ioredis, listener)
  if (has('duplicate', 'sendCommand', 'subscribe', 'destroy')) {
    return (listener) => nodeRedisConnection(client as NodeRedis, listener)
  }
  throw new TypeError(`Option \`client\` ${wanted}, got another object.`)
}

function nodeRedisConnection(template: NodeRedis, listener: ConnectionListener): Connection {
  const client = template.duplicate({
    // A copy of the options is shallow: without the other socket options the address would be lost.
    socket: { ...template.options?.socket, reconnectStrategy: false },
    RESP: 3,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    commandOptions: undefined,
    keyPrefix: undefined,
    pingInterval: undefined,
    clientSideCache: undefined,
    commandsQueueMaxLength: undefined,
    readonly: false,
  })
  const heard = (text: string, channel: string) => listener.message(channel, text)
  client.on('error', listener.ended)
  client.on('end', () => listener.ended(new Error('The connection was closed.')))
  return {
    open: () => client.connect(),
    call: (args) => client.sendCommand(args),
    subscribe: (channels) => client.subscribe(channels, heard),
    // With the listener: without it, a `subscribe` directly afterwards is never sent.
    unsubscribe: (channels) => client.unsubscribe(channels, heard),
    end: () => client.destroy(),
  }
}

function ioredisConnection(template: Ioredis, listener: ConnectionListener): Connection {
  const client = template.duplicate({
    lazyConnect: true,
    protocol: 3,
    replyMapping: 'legacy',
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: () => null,
    reconnectOnError: null,
    maxRetriesPerRequest: null,
    stringNumbers: false,
    keyPrefix: '',
    monitor: false,
    readOnly: false,
    commandTimeout: undefined,
    blockingTimeout: undefined,
  })
  client.on('message', listener.message)
  client.on('error', listener.ended)
  client.on('close', () => listener.ended(new Error('The connection was closed.')))
  return {
    open: () => client.connect(),
    call: ([command, ...args]) => client.call(command!, ...args),
    subscribe: async (channels) => void (await client.subscribe(...channels)),
    unsubscribe: async (channels) => void (await client.unsubscribe(...channels)),
    end: () => {
      client.disconnect()
      // quit() would wait for a peer that may be gone.
      client.stream?.destroy()
    },
  }
}
