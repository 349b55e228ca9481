import type { EventSource } from 'eventsource'
import { expect, it, onTestFinished, vi } from 'vitest'
import { modulesOf, open, PATIENT, serve, sourceAt } from './serve.ts'
import { STATE_PAGE, STATE_WIRE } from './snippets.ts'

const folder = modulesOf('state')

async function servingCarts() {
  const rows = new Map<string, Record<string, number>>([
    ['7', { apples: 3 }],
    ['8', {}],
  ])
  const carts = {
    find: async (id: string) => rows.get(id),
    ids: async () => [...rows.keys()],
    write: async (id: string, sku: string, quantity: number) => void rows.set(id, { ...rows.get(id), [sku]: quantity }),
    inTurn: (_id: string, change: () => Promise<void>) => change(),
  }
  return { rows, ...(await serve(folder, 'state', { carts })) }
}

it('the README of the state has a server and a page that show a cart', async () => {
  const { rows, url } = await servingCarts()
  const opened: EventSource[] = []
  const show = vi.fn((cart: object) => JSON.stringify(cart))
  new Function('EventSource', 'show', STATE_PAGE)(sourceAt(url, opened), show)
  onTestFinished(() => opened[0]!.close())
  const shown = () => show.mock.results.at(-1)?.value
  await vi.waitFor(() => expect(shown()).toBe('{"apples":3}'), PATIENT)
  for (const path of ['/carts/7/pears/1', '/carts/7/apples/4']) await fetch(url + path, { method: 'POST' })
  await vi.waitFor(() => expect(shown()).toBe('{"apples":4,"pears":1}'), PATIENT)
  expect(show).toHaveBeenCalledTimes(3)
  expect(rows.get('7')).toEqual({ apples: 4, pears: 1 })
})

it('the README of the state has the blocks of a pattern', async () => {
  const { url } = await servingCarts()
  const stream = await open(url, '/channels/cart.*')
  const events = [await stream.next(), await stream.next(), await stream.next(), await stream.next()]
  const epoch = events.at(-1)!.id!.slice(0, 6)
  const blocks = stream
    .text()
    .replace(epoch, 'k3f9a2')
    .replace(/^(?:(?:retry:|:).*\n+)+/, '')
  expect(blocks.trim()).toBe(STATE_WIRE.trim())
})
