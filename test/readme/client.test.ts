import { EventSource } from 'eventsource'
import express from 'express'
import { expect, it, onTestFinished, vi } from 'vitest'
import { ChannelHub, sse } from '../../src/index.ts'
import { listen, modulesOf, PATIENT, sourceAt } from './serve.ts'
import { IN_A_PAGE } from './snippets.ts'

const folder = modulesOf('client')

it('the READMEs connect with the client', async () => {
  const hub = new ChannelHub()
  const app = express()
  app.use('/channels', hub.router({ channels: ['board', 'price.*'] }))
  const url = `${await listen(app)}/channels`
  vi.stubGlobal('sessionStorage', {})
  const { default: page } = await folder.import('client.ts')
  const called = { refetch: vi.fn(), show: vi.fn(), say: vi.fn(), log: vi.fn() }
  let connections: { close(): void }[] = []
  const given = (made: typeof connections) => (connections = made)
  const ended = page({ ...called, url, user: { id: '7' }, console: called, given })
  await vi.waitFor(() => expect(called.refetch).toHaveBeenCalledTimes(1), PATIENT)
  await hub.publish('board', { text: 'hi' }, { event: 'note' })
  await hub.publish('price.usd', { cents: 199 })
  await vi.waitFor(() => expect(called.log).toHaveBeenCalledTimes(2), PATIENT)
  expect(called.show.mock.calls).toEqual([
    ['board', { text: 'hi' }],
    ['price.usd', { cents: 199 }],
    ['cents', 199],
  ])
  for (const connection of connections) connection.close()
  await ended
  expect(called.say.mock.calls.flat().sort()).toEqual(['closed', 'closed', 'connecting', 'open', 'streaming'])
  const { sessionStorage } = globalThis as unknown as { sessionStorage: object }
  expect(Object.keys(sessionStorage)).toEqual(['express-sse-hub:board'])
  vi.unstubAllGlobals()
  await hub.close()
})

it('the README of the client follows the hub in a page without the client', async () => {
  const app = express()
  const hub = new ChannelHub()
  app.use('/channels', hub.router({ channels: ['board'] }))
  app.get('/finished', sse(), (_req, res) => {
    res.sse.send('last')
    res.sse.finish()
  })
  const url = await listen(app)
  /** The page, with another path to listen to. */
  function page(path: string) {
    const opened: EventSource[] = []
    const called = { show: vi.fn(), refetch: vi.fn(), say: vi.fn() }
    const code = IN_A_PAGE.replace('/channels/board', path)
    new Function('EventSource', ...Object.keys(called), code)(sourceAt(url, opened), ...Object.values(called))
    onTestFinished(() => opened[0]!.close())
    return { ...called, source: opened[0]! }
  }
  const first = page('/channels/board')
  await vi.waitFor(() => expect(first.refetch).toHaveBeenCalledTimes(1), PATIENT)
  const { id } = await hub.publish('board', 'plain')
  await hub.publish('board', 'typed', { event: 'note' })
  await vi.waitFor(() => expect(first.show.mock.calls).toEqual([['plain'], ['typed']]), PATIENT)

  const resumed = page(`/channels/board?lastEventId=${id}`)
  await vi.waitFor(() => expect(resumed.show.mock.calls).toEqual([['typed']]), PATIENT)
  expect(resumed.refetch).not.toHaveBeenCalled()
  const gap = page('/channels/board?lastEventId=aaaaaa.1')
  await vi.waitFor(() => expect(gap.refetch).toHaveBeenCalledTimes(2), PATIENT)

  hub.disconnect(() => true)
  await vi.waitFor(() => expect(first.say).toHaveBeenCalledWith('revoked'), PATIENT)
  const finished = page('/finished')
  await vi.waitFor(() => expect(finished.source.readyState).toBe(EventSource.CLOSED), PATIENT)
  expect(finished.show).toHaveBeenCalledWith('last')
  const refused = page('/channels/admin')
  await vi.waitFor(() => expect(refused.say).toHaveBeenCalledWith('refused'), PATIENT)
})
