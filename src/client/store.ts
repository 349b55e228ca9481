/** Keeps a position from one page load to the next. */
export interface PositionStore {
  get(): string | null | undefined | Promise<string | null | undefined>
  set(id: string): unknown
}

/** A store in the `sessionStorage` of the tab. Where there is none, or it is blocked, it keeps nothing. */
export function sessionStore(key: string): PositionStore {
  const name = `express-sse-hub:${key}`
  const storage = () => (globalThis as { sessionStorage?: Record<string, string | undefined> }).sessionStorage
  return {
    get() {
      try {
        return storage()?.[name]
      } catch {
        return undefined
      }
    },
    set(id) {
      try {
        storage()![name] = id
      } catch {}
    },
  }
}
