import { describe, expect, it } from 'vitest'
import * as sqlite from '../../src/broker/sqlite/index.ts'
import * as client from '../../src/client/index.ts'
import * as polling from '../../src/client/polling.ts'
import * as shared from '../../src/client/shared.ts'
import * as library from '../../src/index.ts'
import * as testing from '../../src/testing/index.ts'
import { documentAt, documents, sourceOf } from './documents.ts'

/** The members of a class or interface that are not marked as internal. */
function membersOf(type: string, file: string): string[] {
  const source = sourceOf(file)
  const start = source.search(new RegExp(`^export (?:class|interface) ${type}\\b`, 'm'))
  const body = source.slice(start).split('\n}\n')[0]!
  const found = body.matchAll(/^ {2}(?:readonly |get |async )*(\w+|\[Symbol\.\w+\])(?:<.*>)?[(:?].*$/gm)
  return [...found].flatMap(({ 1: name, index }) => {
    const before = body.slice(0, index).trimEnd()
    const comment = before.endsWith('*/') ? before.slice(before.lastIndexOf('/**')) : ''
    return name === 'constructor' || comment.includes('@internal') ? [] : name!
  })
}

const STREAM = ['src/stream/README.md', '`sse(options?)`'] as const
const HUB = ['src/hub/README.md', '`new ChannelHub(options?)`'] as const
const SUBSCRIBING = ['src/hub/README.md', 'Subscribing'] as const
const OPEN_STREAM = ['src/testing/README.md', '`openStream()`'] as const
const CONNECT = ['src/client/README.md', '`connect(url, options?)`'] as const
const CLIENT_OPTIONS = ['src/client/README.md', 'Options'] as const

describe('the tables of members', () => {
  it.each([
    ['EventStream', 'stream/event-stream.ts', ...STREAM, 14],
    ['ChannelHub', 'express/channel-hub.ts', ...HUB, 14],
    ['Subscription', 'hub/subscription.ts', ...SUBSCRIBING, 10],
  ])('name every member of %s', (type, file, path, heading, count) => {
    const named = documentAt(path)
      .rows(heading)
      .flatMap(([first, second]) => `${first} ${second}`.match(/`[^`]+`/g) ?? [])
      .map((code) => /^`(\w+|\[[\w.]+\])/.exec(code)?.[1])
    const all = membersOf(type, file)
    expect(all).toHaveLength(count)
    for (const member of all) expect(named).toContain(member)
  })

  it.each([
    ['OpenStream', 'testing/open-stream.ts', ...OPEN_STREAM],
    ['HubEvents', 'hub/emitter.ts', ...HUB],
    ['LiveStats', 'hub/stats.ts', ...HUB],
    ['CountedStats', 'hub/stats.ts', ...HUB],
    ['ChannelHandle<Data = unknown>', 'express/channel-hub.ts', ...HUB],
    ['PublishReceipt<Id extends string | null = string>', 'hub/publisher.ts', ...HUB],
    ['SubscribeOptions', 'hub/subscribe-request.ts', ...HUB],
    ['PublishOptions', 'hub/publisher.ts', ...HUB],
    ['SendOptions', 'stream/send.ts', ...STREAM],
    ['SourceOptions<T, Stream>', 'stream/source.ts', 'src/stream/README.md', '`stream()`'],
    ['StreamResult', 'stream/source.ts', 'src/stream/README.md', '`stream()`'],
    ['SourceOptions', 'client/options.ts', ...CLIENT_OPTIONS],
    ['ConnectOptions<Channels = any> extends SourceOptions', 'client/options.ts', ...CLIENT_OPTIONS],
    ['RetryOptions', 'client/options.ts', ...CLIENT_OPTIONS],
    ['PollingOptions', 'client/polling.ts', 'src/client/README.md', 'Proxies that hold streams back'],
    ['ConnectionEvents<Channels>', 'client/events.ts', ...CONNECT],
  ])('name every member of %s', (type, file, path, heading) => {
    const source = sourceOf(file)
    const body = source.slice(source.indexOf(`export interface ${type} {`)).split('\n}\n')[0]!
    const all = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, name]) => name!)
    expect(all.length).toBeGreaterThan(2)
    const prose = documentAt(path)
      .section(heading)
      .replaceAll(/```[\s\S]*?```/g, '')
    const code = prose.match(/`[^`]+`/g)!.join(' ')
    expect(all.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([])
  })

  it('name every export of every entry point', () => {
    const exported = [library, testing, sqlite, client, polling, shared].flatMap((entry) => Object.keys(entry))
    const text = documents.map(({ text }) => text).join('\n')
    expect(exported.filter((name) => !new RegExp(`\`(new )?${name}\\b`).test(text))).toEqual([])
    expect(Object.keys(testing).sort()).toEqual(['brokerContract', 'manualClock', 'openStream'])
  })

  it('of the root README name every member of ChannelHub and EventStream', () => {
    const { text } = documentAt('README.md')
    for (const type of [
      membersOf('EventStream', 'stream/event-stream.ts'),
      membersOf('ChannelHub', 'express/channel-hub.ts'),
    ]) {
      const missing = type.filter((name) => !name.startsWith('[') && !text.includes(`\`${name}`))
      expect(missing).toEqual([])
    }
  })
})
