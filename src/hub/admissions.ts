/** A request that waits for the answer of its hook. */
export interface PendingAdmission {
  /** Whether a `disconnect()` since the hook was called matches the subscription that the request would open. */
  isRevoked(subscription: unknown): boolean
  /** The request is served or refused. */
  end(): void
}

type Matches = (subscription: never) => boolean

/**
 * The requests whose hooks have not answered yet. A `disconnect()` at that moment finds no subscription. It is
 * remembered, so that a verdict from before it cannot open a stream after it.
 */
export class Admissions {
  readonly #pending = new Set<Matches[]>()

  begin(): PendingAdmission {
    const revokedBy: Matches[] = []
    this.#pending.add(revokedBy)
    return {
      isRevoked: (subscription) => revokedBy.some((matches) => isMatch(matches, subscription)),
      end: () => this.#pending.delete(revokedBy),
    }
  }

  revoke(matches: Matches): void {
    for (const revokedBy of this.#pending) revokedBy.push(matches)
  }
}

/** A condition that throws revokes: the client reconnects and is authorised again. */
function isMatch(matches: Matches, subscription: unknown): boolean {
  try {
    return matches(subscription as never) === true
  } catch {
    return true
  }
}
