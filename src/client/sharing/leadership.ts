/** As much of https://w3c.github.io/web-locks/ as is needed here. */
export interface LockManager {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<unknown>,
  ): Promise<unknown>
}

/** A lock that somebody may take away. */
export interface Leadership {
  /** Takes it, whoever has it: its holder does not answer. */
  steal(): void
  /** Gives it back, or waits for it no longer. */
  leave(): void
}

/**
 * Waits in line for the lock. `won` is called when it is ours, `lost` when it was stolen; then the waiting begins anew.
 * `refused`: this context gets no locks, as in a sandboxed frame.
 */
export function contend(
  locks: LockManager,
  name: string,
  won: () => void,
  lost: () => void,
  refused: () => void,
): Leadership {
  let waiting: AbortController
  let release: (() => void) | undefined
  let left = false

  function request(options: { signal?: AbortSignal; steal?: boolean }): void {
    let mine: () => void
    const hold = () => {
      if (left) return Promise.resolve()
      waiting.abort()
      return new Promise<void>((resolve) => {
        release = mine = resolve
        won()
      })
    }
    // A promise from the start, because `request` itself may throw.
    new Promise((resolve) => resolve(locks.request(name, options, hold))).catch((error) => {
      if (!left && !mine && error?.name !== 'AbortError') return refused()
      // Aborted while it waited, or stolen from us: only then there was something to lose.
      if (left || release !== mine || !mine) return
      release = undefined
      lost()
      queue()
    })
  }

  function queue(): void {
    waiting = new AbortController()
    request({ signal: waiting.signal })
  }

  queue()
  return {
    steal() {
      waiting.abort()
      request({ steal: true })
    },
    leave() {
      left = true
      waiting.abort()
      release?.()
    },
  }
}
