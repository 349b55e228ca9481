// Publishes one event from Node: npx tsx demo/examples/publish.ts '{"text":"hi"}' [url]
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const [json = '{"text":"hi"}', url = 'http://localhost:3000/channels/board'] = process.argv.slice(2)

/** Publishes once, in any number of attempts: the hub accepts each key only once. */
async function publish(body: string): Promise<{ id: string; duplicate: boolean }> {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() }
  for (let attempt = 0; ; attempt++) {
    // Without an answer the outcome is unknown: the event may have been published.
    const answer = await fetch(url, { method: 'POST', headers, body }).catch((error) => {
      if (attempt === 9) throw error
    })
    if (answer?.ok) return (await answer.json()) as { id: string; duplicate: boolean }
    if (answer !== undefined && (answer.status < 500 || attempt === 9)) throw new Error(await answer.text())
    await sleep(Math.random() * Math.min(10_000, 200 * 2 ** attempt))
  }
}

process.stdout.write(`${JSON.stringify(await publish(json))}\n`)
