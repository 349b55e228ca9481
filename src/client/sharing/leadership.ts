/** The part of https://w3c.github.io/web-locks/ that is used here. */
export interface LockManager {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<unknown>,
  ): Promise<unknown>
}

/** A lock that another tab may steal. */
export interface Leadership {
  /** Takes the lock from any holder: the holder does not answer. */
  steal(): void
  /** Returns the lock, or stops waiting for it. */
  leave(): void
}

/**
 * Queues for the lock. `won` is called when this tab gets it, `lost` when another tab stole it; then this tab queues
 * again. `refused`: this context gets no locks, as in a sandboxed frame.
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
    // Inside a promise, because `request` itself may throw.
    new Promise((resolve) => resolve(locks.request(name, options, hold))).catch((error) => {
      if (!left && !mine && error?.name !== 'AbortError') return refused()
      // Aborted while it waited, or stolen: only a stolen lock was lost.
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
