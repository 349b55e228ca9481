// What the tests and the pages that listen for them have in common.

/** The events of a listener, in order. The checkers of `test/faults` know the first four. */
export type Told =
  | { readonly what: 'open'; readonly sent: string; readonly resumed: boolean; readonly id: string }
  | { readonly what: 'event'; readonly id: string; readonly channel: string; readonly uid: string }
  | { readonly what: 'gap'; readonly reason: string; readonly channels: readonly string[]; readonly to: string }
  | { readonly what: 'cut' }
  | { readonly what: 'state'; readonly state: string }
  | { readonly what: 'error'; readonly error: string }
  | { readonly what: 'closed'; readonly reason: string }

export interface ListenOptions {
  readonly kind: 'native' | 'client' | 'shared'
  readonly url: string
  /** None: the URL is all there is to ask for. */
  readonly channels: readonly string[]
  /** With cookies across origins. */
  readonly credentials?: boolean
  /** The key of a position that outlives the page. */
  readonly store?: string
  /** Sends the token that it was given, or fetches another when that is refused. */
  readonly token?: boolean
  /** What the back-off begins with. Default 100: quick enough for a test, and still random. */
  readonly minMs?: number
  readonly connectTimeoutMs?: number
  readonly silenceMs?: number
}
