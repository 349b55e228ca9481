/** Keeps a position from one page load to the next. */
export interface PositionStore {
  get(): string | null | undefined | Promise<string | null | undefined>
  set(id: string): unknown
}

/** A store in the `sessionStorage` of the tab. */
export function sessionStore(key: string): PositionStore {
  const storage = () => (globalThis as unknown as { sessionStorage: Record<string, string> }).sessionStorage
  key = `express-sse-hub:${key}`
  return {
    get: () => storage()[key],
    set(id) {
      storage()[key] = id
    },
  }
}
