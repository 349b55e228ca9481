/** A request that waits for the answer of its hook. */
export interface PendingAdmission {
  /** Whether a `disconnect()` since the hook was asked matches what would become of the request. */
  isRevoked(subscription: unknown): boolean
  /** The request is served or refused. */
  end(): void
}

type Matches = (subscription: never) => boolean

/**
 * The requests whose hooks have not answered yet. A `disconnect()` at that moment finds no subscription: it is kept, so
 * that a verdict from before it opens no stream after it.
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

/** A condition that throws revokes: the request comes back and is asked again. */
function isMatch(matches: Matches, subscription: unknown): boolean {
  try {
    return matches(subscription as never) === true
  } catch {
    return true
  }
}
