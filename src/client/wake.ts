/**
 * Tells of what happens to the page until `signal` is aborted. `true`: it is left, and may come back from the
 * back/forward cache. `false`: it was brought back, or the network was; whatever was open is not to be relied on.
 * Nothing: somebody looks at it again. In Node there is nothing to tell.
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
