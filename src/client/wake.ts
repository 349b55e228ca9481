interface Page extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  document?: EventTarget & { visibilityState: string }
}

/** What happens to the page that a connection wants to know of. */
export interface Wakeable {
  /** Somebody looks at the page again: is the stream still alive? */
  check(): void
  /** The page was brought back, or the network was: whatever was open is not to be relied on. */
  resume(): void
  /** The page is left. It may come back from the back/forward cache. */
  suspend(): void
}

/** Listens until the returned function is called. In Node there is nothing to listen to; in a worker no document. */
export function watchPage({ check, resume, suspend }: Wakeable): () => void {
  const page = globalThis as Page
  const { document } = page
  const listeners: [Page | EventTarget | undefined, string, (event: Event) => void][] = [
    [document, 'visibilitychange', () => document!.visibilityState === 'visible' && check()],
    [page, 'online', resume],
    [page, 'pageshow', (event) => (event as Event & { persisted: boolean }).persisted && resume()],
    [page, 'pagehide', suspend],
  ]
  for (const [target, type, listener] of listeners) target?.addEventListener?.(type, listener)
  return () => {
    for (const [target, type, listener] of listeners) target?.removeEventListener?.(type, listener)
  }
}
