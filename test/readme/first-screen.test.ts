import type { EventSource } from 'eventsource'
import express from 'express'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { freePort, modulesOf, open, PATIENT, runModule, serve, shell, sourceAt } from './serve.ts'
import { CURL, SERVER } from './snippets.ts'

const folder = modulesOf('first-screen')

function eventOf(source: EventSource, type: string): Promise<Event> {
  return new Promise((resolve) => source.addEventListener(type, resolve, { once: true }))
}

describe('the first screen of the root README', () => {
  let url: string
  beforeAll(async () => {
    const port = await freePort()
    folder.write('server.ts', SERVER.replaceAll('3000', String(port)))
    url = `http://localhost:${port}`
    expect((await runModule(folder, 'server.ts')).line).toBe(url)
  }, 60_000)

  it('listens, publishes and resumes with curl', async () => {
    const [listening, publishing, resuming] = CURL.replaceAll('localhost:3000', url).trim().split('\n')
    const opened = await shell(listening!, (output) => /id: \S+\n.*\n\n/.test(output))
    const id = /id: (\S+)/.exec(opened)![1]!
    for (let i = 0; i < 2; i++) expect(await shell(publishing!)).toMatch(/"localSubscribers":\d}\n201$/)
    const missed = /data: \{"text":"hi"\}\n/g
    const resumed = await shell(resuming!.replace('<that id>', id), (output) => output.match(missed)?.length === 2)
    expect(resumed).toContain('"resumed":true')
    expect(resumed.match(missed)).toHaveLength(2)
  })

  it('serves a page that shows the text it sends', async () => {
    const page = await (await fetch(url)).text()
    const script = /<script>([\s\S]*)<\/script>/.exec(page)![1]!
    const form = { data: { value: 'Hello\nthere' }, reset: vi.fn(), onsubmit: (_event: object) => {} }
    const list = { append: vi.fn() }
    const document = {
      querySelectorAll: (selector: string) => (selector === 'form, ul' ? [form, list] : []),
      createElement: (name: string) => ({ name }),
    }
    const sources: EventSource[] = []
    new Function('document', 'EventSource', 'fetch', script)(
      document,
      sourceAt(url, sources),
      (path: string, init: RequestInit) => fetch(url + path, init),
    )
    onTestFinished(() => sources[0]!.close())
    await eventOf(sources[0]!, 'hub.open')
    const preventDefault = vi.fn()
    form.onsubmit({ preventDefault })
    const item = { name: 'li', textContent: 'Hello\nthere' }
    await vi.waitFor(() => expect(list.append).toHaveBeenCalledWith(item), PATIENT)
    expect(preventDefault).toHaveBeenCalledOnce()
    expect(form.reset).toHaveBeenCalledOnce()
  })

  it('sends streams without a hub', async () => {
    const aborted = vi.fn()
    const model = {
      async *generate(prompt: string, { signal }: { signal: AbortSignal }) {
        signal.addEventListener('abort', aborted)
        yield* [...prompt]
      },
    }
    const { url } = await serve(folder, 'streams', { model }, express.json())
    const cleared = vi.spyOn(globalThis, 'clearInterval')
    const clock = await open(url, '/clock')
    for (let i = 0; i < 2; i++) {
      const tick = await clock.next()
      expect(tick.event).toBe('tick')
      expect(tick.json<{ now: number }>().now).toBeGreaterThan(Date.now() - 5_000)
    }
    cleared.mockClear()
    clock.drop()
    await vi.waitFor(() => expect(cleared).toHaveBeenCalled(), PATIENT)

    const headers = { 'content-type': 'application/json' }
    const answer = await open(url, '/answer', { body: JSON.stringify({ prompt: 'ab' }), headers })
    const received = [await answer.next(), await answer.next(), await answer.next()]
    expect(received.map(({ data }) => data)).toEqual(['a', 'b', '[DONE]'])
    await answer.ended
    expect(aborted).toHaveBeenCalledOnce()
  })
})
