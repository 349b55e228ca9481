import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { type BrokerContractOptions, brokerContract } from '../../src/testing/index.ts'

const ROOT = join(import.meta.dirname, '../..')
const TEMP = join(ROOT, 'test/.tmp/broker')
const README = readFileSync(join(ROOT, 'src/broker/README.md'), 'utf8')
const [toy = '', suite = ''] = [...README.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code!)

mkdirSync(TEMP, { recursive: true })
const file = join(TEMP, `toy-${process.pid}.ts`)
writeFileSync(
  file,
  toy
    .replace("'express-sse-hub/broker'", "'../../../src/broker/index.ts'")
    .replace("'express-sse-hub'", "'../../../src/index.ts'"),
)
const { toyBroker } = (await import(file)) as { toyBroker(options: BrokerContractOptions): Broker }

describe('the broker of the README', () => {
  brokerContract(toyBroker, { describe, it })

  it('is run by the suite as the README says', () => {
    expect(suite).toContain('brokerContract(toyBroker, { describe, it })')
  })
})

it('the README names every file of the folder', () => {
  for (const name of README.matchAll(/`([a-z-]+\.ts)`/g)) {
    expect(() => readFileSync(join(ROOT, 'src/broker', name[1]!))).not.toThrow()
  }
})
