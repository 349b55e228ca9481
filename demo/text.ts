import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RequestHandler } from 'express'
import type { ChannelHub } from '../src/index.ts'
import type { Channels, TextEnd } from './channels.ts'
import { refuse } from './guard.ts'
import { shortName, visitorOf } from './visitors.ts'

const DOCUMENT = fileURLToPath(new URL('../README.md', import.meta.url))
const WORD_MS = 40
const MAX_READERS = 50

interface Word {
  /** How many words there are up to it. */
  readonly at: number
  readonly text: string
}

/** The words after the first `from`, one after the other, at the speed of a reader. */
async function* readAloud(words: readonly string[], from: number): AsyncGenerator<Word> {
  for (let i = from; i < words.length; i++) {
    await setTimeout(WORD_MS)
    yield { at: i + 1, text: words[i]! }
  }
}

/**
 * Streams the README word by word to a native `EventSource`. The ID of each event is its place, so a reader that
 * reconnects resumes there. The generator is finalised as soon as the reader leaves, and its page receives the place
 * where it stopped.
 */
export function streamText(
  hub: ChannelHub<Channels>,
  log: (text: string) => void,
  draining: AbortSignal,
): RequestHandler {
  let readers = 0
  return async (req, res) => {
    const visitor = visitorOf(req)
    if (visitor === undefined) return refuse(res, 400, 'A text has a reader: ?visitor=')
    const { lastEventId } = res.sse
    if (!/^\d{0,9}$/.test(lastEventId)) return refuse(res, 400, 'A place in the text is a number.')
    if (readers >= MAX_READERS) return refuse(res, 503, 'Too many read at the moment.')
    readers++
    // White space stays with the word before it, so that the text comes out as it is written.
    const words = (await readFile(DOCUMENT, 'utf8')).match(/\S+\s*/g) ?? []
    const from = Math.min(Number(lastEventId), words.length)
    let to = from
    // These streams have no subscription, so the hub does not end them when the server goes.
    const leave = () => res.sse.close('shutdown')
    draining.addEventListener('abort', leave)
    const { reason } = await res.sse.stream(readAloud(words, from), {
      each: ({ at, text }, sse) => {
        to = at
        // As JSON: a line break at the end would be the end of the line, not of the word.
        sse.send({ text, of: words.length }, { id: String(at) })
      },
      end: false,
    })
    draining.removeEventListener('abort', leave)
    readers--
    // The page reconnects and resumes, in the next life of the server.
    if (draining.aborted) return
    res.sse.finish()
    const end: TextEnd = { reason, from, to, total: words.length }
    log(`${shortName(visitor)}: text ${reason} at word ${to} of ${words.length}`)
    hub.publish(`visitor.${visitor}`, end, { event: 'text' })
  }
}
