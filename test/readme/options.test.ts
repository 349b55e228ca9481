import { describe, expect, it } from 'vitest'
import { redisBroker } from '../../src/broker/redis/index.ts'
import { sqliteBroker } from '../../src/broker/sqlite/index.ts'
import { ChannelHub, memoryBroker, sse } from '../../src/index.ts'
import { documentAt, numberIn, sourceOf } from './documents.ts'

const hub = new ChannelHub()

type Make = (options: never) => unknown

const TABLES: [path: string, heading: string, make: Make][] = [
  ['src/stream/README.md', 'Options of `sse()`', (options) => sse(options)],
  ['src/hub/README.md', 'Options of `new ChannelHub()`', (options) => new ChannelHub(options)],
  ['src/broker/README.md', 'Options of `memoryBroker({ history, clock })`', (history) => memoryBroker({ history })],
  ['src/express/README.md', 'Options of `hub.router()`', (options) => hub.router(options)],
  [
    'src/broker/sqlite/README.md',
    'Options of `sqliteBroker({ file, history, durability, clock })`',
    (options) => sqliteBroker(options),
  ],
  [
    'src/broker/redis/README.md',
    'Options of `redisBroker({ client, prefix, history, ingest, fence, onError, clock })`',
    (options) => redisBroker(options),
  ],
]

/** The names of the options, as the error for an unknown one lists them. */
function optionsOf(make: Make): string[] {
  try {
    make({ noSuchOption: 1 } as never)
  } catch (error) {
    return /Its options: (.*)\.$/.exec((error as Error).message)![1]!.split(', ')
  }
  throw new Error('There is an option noSuchOption.')
}

describe('the tables of options', () => {
  it.each(TABLES)('%s: %s names every option', (path, heading, make) => {
    const [, ...body] = documentAt(path).rows(heading)
    const named = body.flatMap(([cell]) => /^`(\w+)`$/.exec(cell!)?.[1] ?? [])
    expect(named.sort()).toEqual(optionsOf(make).sort())
  })

  it.each(TABLES.slice(0, 3))('%s: %s has the bounds', (path, heading, make) => {
    let checked = 0
    for (const [name, , , bounds] of documentAt(path).rows(heading)) {
      const match = /^(?:from )?([\d,]+?)(?: – ([\d,]+))?$/.exec(bounds ?? '')
      if (match === null) continue
      const option = name!.replaceAll('`', '')
      const [least, most] = [numberIn(match[1]!), match[2] === undefined ? undefined : numberIn(match[2])]
      expect(() => make({ [option]: least } as never), `${option} ${least}`).not.toThrow()
      expect(() => make({ [option]: least - 1 } as never), `${option} ${least - 1}`).toThrow(option)
      if (most === undefined) expect(() => make({ [option]: Number.MAX_SAFE_INTEGER } as never)).not.toThrow()
      else {
        expect(() => make({ [option]: most } as never), `${option} ${most}`).not.toThrow()
        expect(() => make({ [option]: most + 1 } as never), `${option} ${most + 1}`).toThrow(option)
      }
      checked++
    }
    expect(checked).toBeGreaterThan(2)
  })

  it('have the defaults of the sources', () => {
    const source = ['stream/options.ts', 'hub/options.ts', 'broker/retention.ts', 'express/router-options.ts']
      .map(sourceOf)
      .join('')
      .replaceAll('DEFAULT_RETRY_MS', '2000')
      .replaceAll('MIN_HIGH_WATER_MARK', '65536')
      .replaceAll('fallback.maxEvents', '1000')
    let checked = 0
    for (const [path, heading] of TABLES) {
      for (const [name, , fallback, , off] of documentAt(path).rows(heading)) {
        const number = /^[\d,]+/.exec(fallback ?? '')?.[0]
        const option = name!.replaceAll('`', '')
        if (number === undefined || option === 'maxAgeMs') continue
        expect(source).toMatch(new RegExp(`\\.?${option}'?\`?,\\s*[\\w.]+,\\s*${numberIn(number)},`))
        if (numberIn(number) === 0) expect(off).toBe('0')
        checked++
      }
    }
    expect(checked).toBe(16)
    expect(source).toContain('{ maxEvents: 1000, maxAgeMs: HOUR_MS }')
    const sqlite = documentAt('src/broker/sqlite/README.md').rows(TABLES[4]![1])
    const durability = sqlite.find(([name]) => name === '`durability`')![2]!.replaceAll('`', '')
    expect(sourceOf('broker/sqlite/options.ts')).toContain(`'durability', durability, ${durability}, DURABILITIES`)
    expect(() => sqliteBroker({} as never)).toThrow('file')
  })
})
