/**
 * Reports changes of the page until `signal` is aborted. `true`: the page is left, and may return from the back/forward
 * cache. `false`: the page or the network is back; an open connection is not reliable. `undefined`: the page is visible
 * again. In Node there is nothing to report.
 */
export function watchPage(wake: (away?: boolean) => void, signal: AbortSignal): void {
  const page = globalThis as Partial<EventTarget> & { document?: { visibilityState: string } }
  const listener = ({ type, persisted }: Event & { persisted?: boolean }): void => {
    if (type === 'pagehide' || type === 'freeze') wake(true)
    else if (type === 'online' || type === 'resume' || persisted) wake(false)
    else if (page.document?.visibilityState === 'visible') wake()
  }
  // Events of the document bubble.
  for (const type of ['visibilitychange', 'online', 'pageshow', 'pagehide', 'freeze', 'resume'])
    page.addEventListener?.(type, listener, { signal })
}
