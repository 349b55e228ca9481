import { once } from 'node:events'
import express from 'express'
import { expect, it, vi } from 'vitest'
import { ChannelHub, memoryBroker } from '../../src/index.ts'
import { APP } from './modules.ts'
import { freePort, listen, modulesOf, open, PATIENT, post, runModule, serve } from './serve.ts'
import { SHUTDOWN } from './snippets.ts'

const folder = modulesOf('recipes')

it('the recipe for job progress ends a stream permanently', async () => {
  async function* progressOf(id: string) {
    yield { percent: 50, id }
    yield { percent: 100 }
  }
  const { url } = await serve(folder, 'finish', { progressOf })
  const job = await open(url, '/jobs/7')
  expect((await job.next()).json()).toEqual({ percent: 50, id: '7' })
  expect((await job.next()).json()).toEqual({ percent: 100 })
  expect((await job.next()).event).toBe('hub.finished')
  await job.ended
  await job.reconnect()
  expect(job.status).toBe(204)
})

it('the snippet for ephemeral channels publishes without an ID', async () => {
  const { given } = await serve(folder, 'ephemeral')
  expect(given.id).toBeNull()
  await given.liveHub.close()
})

it('the recipe for a rendered page resumes from before its read of the database', async () => {
  const order = { id: '7', quantity: 1 }
  const written: Promise<unknown>[] = []
  const orders = {
    find: async () => {
      const found = { ...order }
      order.quantity = 2
      written.push(given.hub.publish('order.7', order))
      return found
    },
  }
  const render = (found: object, path: string) => JSON.stringify({ found, path })
  const given: Awaited<ReturnType<typeof serve>> = await serve(folder, 'rendered', { orders, render })
  await given.hub.publish('order.7', order)
  const app = express().use('/channels', given.hub.router({ channels: ['order.*'] }))
  const { found, path } = JSON.parse(await (await fetch(`${given.url}/orders/7`)).text())
  await Promise.all(written)
  expect(found.quantity).toBe(1)
  const stream = await open(await listen(app), path)
  expect((await stream.next()).json()).toMatchObject({ resumed: true })
  expect((await stream.next()).json()).toEqual({ id: '7', quantity: 2 })
})

it('the recipe for several channels serves them', async () => {
  const { hub, given, url } = await serve(folder, 'channels')
  expect(given.id).toMatch(/^\w{6}\.1$/)
  expect((await open(url, '/channels/news')).status).toBe(200)
  expect((await open(url, '/channels/price.*')).status).toBe(200)
  expect((await open(url, '/channels/user.7')).status).toBe(404)
  expect((await post(`${url}/channels/news`, 1)).status).toBe(403)
  expect((await post(`${url}/channels/news`, 1, { 'x-user': 'editor' })).status).toBe(201)
  expect((await open(url, '/news')).status).toBe(200)
  expect((await post(`${url}/news`, 1, { 'x-user': 'editor' })).status).toBe(403)
  const headers = { 'x-user': '7' }
  const editor = { headers: { 'x-user': 'editor' } }
  const streams = [await open(url, '/me/events', { headers }), await open(url, '/all/events', editor)]
  for (const stream of streams) await stream.next()
  await hub.publish('user.7', 'hello')
  for (const stream of streams) expect((await stream.next()).data).toBe('hello')
})

it('the recipe for authorization decides on reading and writing', async () => {
  const { hub, url } = await serve(folder, 'guarded')
  const headers = { 'x-user': 'u1' }
  expect((await open(url, '/guarded/news')).status).toBe(401)
  expect((await open(url, '/guarded/user.u2', { headers })).status).toBe(403)
  const mine = await open(url, '/guarded?channel=news&channel=user.u1', { headers })
  await mine.next()
  expect((await post(`${url}/guarded/news`, 1, headers)).status).toBe(403)
  expect((await post(`${url}/guarded/news`, 1, { 'x-user': 'editor' })).status).toBe(201)
  expect((await mine.next()).data).toBe('1')
  expect([...hub.channel('news').subscribers].map(({ info }) => info)).toEqual(['u1'])
  expect((await post(`${url}/logout`, 1, headers)).status).toBe(204)
  expect((await mine.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'revoked' })
})

it('the recipe for deploys ends the streams and the process', async () => {
  const port = await freePort()
  const board = APP.replace('export { app }', '').replace(
    'import { sse, ChannelHub }',
    'import { sse, ChannelHub, gracefulShutdown }',
  )
  folder.write('shutdown.ts', `${board}\n${SHUTDOWN.replaceAll('3000', String(port))}\nconsole.log('ready')`)
  const { child } = await runModule(folder, 'shutdown.ts')
  const stream = await open(`http://localhost:${port}`, '/channels/board')
  await stream.next()
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const closed = await stream.next()
  expect([closed.event, closed.json()]).toEqual(['hub.closed', { reason: 'shutdown' }])
  expect(stream.reconnectionTimeMs).toBeGreaterThanOrEqual(2_000)
  expect(await exited).toEqual([0, null])
})

it('the README of the hub reads channels in the process', async () => {
  const hub = new ChannelHub({ broker: memoryBroker({ history: { maxEvents: 1 } }) })
  await hub.publish('news', { title: 'kept' }, { event: 'headline' })
  const controller = new AbortController()
  const console = { log: vi.fn(), warn: vi.fn() }
  const { default: read } = await folder.import('events.ts')
  const reading = read({ hub, signal: controller.signal, console })
  await vi.waitFor(() => expect(console.log).toHaveBeenCalledTimes(1), PATIENT)
  await hub.publish('price.usd', 1)
  await vi.waitFor(() => expect(console.log).toHaveBeenCalledTimes(2), PATIENT)
  expect(console.log.mock.calls.map(([channel, event, , data]) => [channel, event, data])).toEqual([
    ['news', 'headline', { title: 'kept' }],
    ['price.usd', undefined, 1],
  ])
  controller.abort()
  await reading
})

it('the README of the hub publishes with types', async () => {
  const { given } = await serve(folder, 'typed')
  expect(given.typedHub.stats().published).toBe(3)
})

it('the README of testing tests routes', async () => {
  const { tests } = await folder.import('collect.ts')
  await folder.import('testing.ts')
  expect(tests).toHaveLength(2)
  for (const [, run] of tests) await run()
})
