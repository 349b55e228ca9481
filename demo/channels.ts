/** What the channels of the demo carry: the server publishes it and the page hears it, both checked by this map. */
export interface Channels {
  machine: MachineSample
  requests: RequestLine
  /** One line of the followed file. */
  log: string
  board: unknown
  'board.>': unknown
  readers: { readonly board: number }
  server: ServerInfo
  beat: Beat
  /** What concerns one visitor alone; the event type says which of these it is. */
  'visitor.*': JobProgress | TextEnd | ConnectionNote
  /** Weight on the connection of a visitor who wants to be slow. */
  'ballast.*': string
}

/** What the machine and the server process are doing, measured over the time since the last sample. */
export interface MachineSample {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Share of all cores that was busy, 0–100. */
  readonly cpuPercent: number
  readonly memoryUsedBytes: number
  readonly memoryTotalBytes: number
  /** Processes that want a core, averaged over a minute. */
  readonly load: number
  /** How late the event loop of the server was, in milliseconds. */
  readonly eventLoopDelay: { readonly p50: number; readonly p99: number }
}

/** One answered request. */
export interface RequestLine {
  readonly at: string
  readonly method: string
  /** Without the query: it may contain private data. */
  readonly path: string
  /** `null`: the client left before there was an answer. */
  readonly status: number | null
  readonly ms: number
}

/** Published by each life of the server when it begins. */
export interface ServerInfo {
  readonly pid: number
  readonly startedAt: number
  readonly node: string
  readonly broker: 'memory' | 'sqlite'
  readonly log: string
}

/** Consecutive numbers, also across restarts: a hole is a lost event. */
export interface Beat {
  readonly n: number
  readonly at: number
}

/** Event type `job`. */
export interface JobProgress {
  readonly id: string
  readonly kind: JobKind
  readonly folder: string
  readonly state: 'counting' | 'running' | 'done' | 'cancelled' | 'failed'
  readonly files: number
  readonly totalFiles: number
  readonly bytes: number
  readonly totalBytes: number
  readonly ms: number
  /** The file that it is at, and in the end the digest, or how small it has become. */
  readonly says: string
}

export type JobKind = 'sha256' | 'gzip'

/** Event type `text`: the generator of a streamed text has ended. */
export interface TextEnd {
  readonly reason: 'done' | 'closed' | 'failed'
  readonly from: number
  readonly to: number
  readonly total: number
}

/** Event type `connection`. */
export interface ConnectionNote {
  readonly what: 'lagging' | 'full speed'
  readonly at: number
}
