import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import type { ChannelHub } from '../../src/index.ts'
import { type BrokerContractOptions, brokerContract } from '../../src/testing/index.ts'
import { documentAt, ROOT, sourceOf } from '../readme/documents.ts'

const README = documentAt('src/broker/README.md')
const TOY = README.take('Write a broker', 'ts', 'toyBroker(options')
const SUITE = README.take('Write a broker', 'ts', 'brokerContract(toyBroker')
const HISTORY = README.take('Options of `memoryBroker({ history, clock })`', 'ts')

const TEMP = join(ROOT, 'test/.tmp', `broker-${process.pid}`)
mkdirSync(TEMP, { recursive: true })
afterAll(() => rmSync(TEMP, { recursive: true, force: true }))

/** Imports a snippet as a module that imports the package by the path of its sources. */
function load(file: string, code: string): Promise<unknown> {
  writeFileSync(
    join(TEMP, file),
    code
      .replace("'express-sse-hub/broker'", "'../../../src/broker/index.ts'")
      .replace("'express-sse-hub'", "'../../../src/index.ts'"),
  )
  return import(join(TEMP, file))
}

const { toyBroker } = (await load('toy.ts', TOY)) as { toyBroker(options: BrokerContractOptions): Broker }

describe('the broker in the README of the log', () => {
  brokerContract(toyBroker, { describe, it })

  it('runs with the call of brokerContract that the README shows', () => {
    expect(SUITE).toContain('brokerContract(toyBroker, { describe, it })')
  })
})

describe('the README of the log', () => {
  it('has no snippet without a test', () => {
    expect(README.untaken).toEqual([])
  })

  it('keeps history by channel with its options', async () => {
    const code = `import { ChannelHub, memoryBroker } from 'express-sse-hub'\n${HISTORY}\nexport { hub }`
    const { hub } = (await load('history.ts', code)) as { hub: ChannelHub }
    for (let i = 0; i < 3; i++) await hub.publish('price.usd', i)
    for (let i = 0; i < 61; i++) await hub.publish('machine', i)
    const reader = hub.events(['price.usd', 'machine'], { rewind: 1_000 })
    expect((await reader.next()).value.data).toBe(2)
    expect((await reader.next()).value.data).toBe(1)
    await reader.return?.()
    await hub.close()
  })

  it('names only files that exist', () => {
    for (const [, name] of README.text.matchAll(/`([a-z-]+\.ts)`/g)) {
      expect(() => sourceOf(`broker/${name}`)).not.toThrow()
    }
  })
})
