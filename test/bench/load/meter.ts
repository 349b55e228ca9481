import { type CpuTime, cpuTime, cpuTimeOfAll, machineTime } from '../proc.ts'

/** What a stretch of time has cost. */
export interface Usage {
  readonly wallMs: number
  /** CPU time of the server in µs. */
  readonly userUs: number
  readonly kernelUs: number
  /** Cores that the load client has used. */
  readonly clientCores: number
  /** Cores that neither server nor bench has used: noise. */
  readonly foreignCores: number
}

interface Reading {
  readonly at: number
  readonly server: CpuTime
  readonly client: number
  /** Client and runner. */
  readonly own: number
  readonly machine: number
}

/** Reads the clocks of the server, of the bench and of the machine. */
export class Meter {
  readonly #server: number
  readonly #own: readonly number[]
  #start: Reading

  /** `server` and `runner` are process ids; the load client is the process that this runs in. */
  constructor(server: number, runner: number) {
    this.#server = server
    this.#own = [process.pid, runner]
    this.#start = this.#read()
  }

  reset(): void {
    this.#start = this.#read()
  }

  /** Since the last reset. */
  usage(): Usage {
    const [from, to] = [this.#start, this.#read()]
    const wallMs = to.at - from.at
    const userUs = to.server.user - from.server.user
    const kernelUs = to.server.kernel - from.server.kernel
    const own = to.own - from.own
    const foreign = to.machine - from.machine - userUs - kernelUs - own
    return {
      wallMs,
      userUs,
      kernelUs,
      clientCores: (to.client - from.client) / wallMs / 1_000,
      foreignCores: Math.max(0, foreign / wallMs / 1_000),
    }
  }

  #read(): Reading {
    const total = (pid: number) => {
      const { user, kernel } = cpuTime(pid)
      return user + kernel
    }
    return {
      at: performance.now(),
      server: cpuTimeOfAll(this.#server),
      client: total(process.pid),
      own: this.#own.reduce((sum, pid) => sum + total(pid), 0),
      machine: machineTime(),
    }
  }
}

/** Several stretches as one. */
export function sum(usages: readonly Usage[]): Usage {
  const wallMs = usages.reduce((all, usage) => all + usage.wallMs, 0)
  const total = (of: (usage: Usage) => number) => usages.reduce((all, usage) => all + of(usage), 0)
  return {
    wallMs,
    userUs: total(({ userUs }) => userUs),
    kernelUs: total(({ kernelUs }) => kernelUs),
    clientCores: total((usage) => usage.clientCores * usage.wallMs) / wallMs,
    foreignCores: total((usage) => usage.foreignCores * usage.wallMs) / wallMs,
  }
}
