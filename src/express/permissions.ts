import type { Request } from 'express'
import { SseError } from '../errors.ts'
import type { Authorize } from '../hub/guard.ts'
import type { Hub } from '../hub/hub.ts'
import { inThisContext } from '../server-clock.ts'
import { assertSameSite } from './cross-site.ts'
import { admittedBy, answerOf, asRefusal, clientStatusOf, mistakeIn } from './hooks.ts'
import type { ResolvedRouterOptions } from './router-options.ts'

/** The hook for channels of a pattern that is added after the request was released. */
export const denied: Authorize = async () => ({ allowed: false })

/** Decides on subscribing and publishing, by the options of a router. */
export class Permissions {
  readonly #hub: Hub
  readonly #options: ResolvedRouterOptions

  constructor(hub: Hub, options: ResolvedRouterOptions) {
    this.#hub = hub
    this.#options = options
  }

  /** Whether a hook decides on reading. */
  get asks(): boolean {
    return typeof this.#options.given.subscribe === 'function'
  }

  /** The verdict of the hook. Throws a refusal as SseError, and a failure as it is. */
  async admit(req: Request, names: readonly string[]): Promise<{ until?: number; info?: unknown }> {
    const admitted = await this.#ask(req, names).catch((error) => {
      throw asRefusal(error, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
    })
    if (admitted !== undefined) return admitted
    throw new SseError('ERR_SSE_SUBSCRIBE_FORBIDDEN', `You may not subscribe to ${names.join(', ')}.`)
  }

  /** Undefined if the hook refuses. Rejects with the error of the hook. */
  async #ask(req: Request, names: readonly string[]): Promise<{ until?: number; info?: unknown } | undefined> {
    const { given } = this.#options
    const { subscribe } = given
    if (subscribe === undefined || subscribe === 'anyone') return {}
    const { clock } = this.#hub.options
    const verdict = await answerOf(clock, () => subscribe.call(given, req, names))
    const mistake = mistakeIn(verdict)
    if (mistake === undefined) return admittedBy(verdict, clock)
    // A mistake allows nothing, and is reported to the operator.
    this.#hub.failed(mistake)
    return undefined
  }

  /** The hook for one channel that a pattern matches. It runs in the async context of its request. */
  authorize(req: Request): Authorize {
    return inThisContext(async (channel: string) => {
      try {
        const admitted = await this.#ask(req, [channel])
        return { allowed: admitted !== undefined, until: admitted?.until }
      } catch (error) {
        if (clientStatusOf(error) !== undefined) return { allowed: false }
        throw error
      }
    })
  }

  /** Throws a refusal as SseError, a failure as it is. */
  async assertMayPublish(req: Request, channel: string): Promise<void> {
    const { given, allowedOrigins } = this.#options
    const { publish } = given
    if (publish === undefined) {
      throw new SseError('ERR_SSE_PUBLISH_CLOSED', 'Publishing is closed here: the router has no option `publish`.')
    }
    assertSameSite(req, allowedOrigins)
    if (publish === 'anyone') return
    let allowed: unknown
    try {
      allowed = await answerOf(this.#hub.options.clock, () => publish.call(given, req, channel))
    } catch (error) {
      throw asRefusal(error, 'ERR_SSE_PUBLISH_FORBIDDEN')
    }
    if (allowed !== true) throw new SseError('ERR_SSE_PUBLISH_FORBIDDEN', `You may not publish to ${channel}.`)
  }
}
