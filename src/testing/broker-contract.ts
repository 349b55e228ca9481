import { closing } from './broker-contract/closing.ts'
import { entries } from './broker-contract/entries.ts'
import { ephemeral } from './broker-contract/ephemeral.ts'
import { handingOver } from './broker-contract/handing-over.ts'
import { keys } from './broker-contract/keys.ts'
import { latest } from './broker-contract/latest.ts'
import { losses } from './broker-contract/losses.ts'
import { oddTexts } from './broker-contract/odd-texts.ts'
import { publishing } from './broker-contract/publishing.ts'
import { reading } from './broker-contract/reading.ts'
import { type ContractIt, type MakeBroker, withBrokers } from './broker-contract/rig.ts'

export type { BrokerContractHistory, BrokerContractOptions, MakeBroker } from './broker-contract/rig.ts'

/** The parts of a test runner that the suite needs: those of vitest, node:test, mocha and jest fit. */
export interface ContractRunner {
  describe(name: string, fn: () => void): unknown
  it(name: string, fn: () => Promise<void>): unknown
}

/** The promises that a broker may leave out. */
export interface ContractExtent {
  /** Limits of single entries of `history.channels`: `maxBytes` and `maxChannels`, each with its own floor. Default true. */
  readonly entryLimits?: boolean | undefined
}

/**
 * The suite that every broker passes: one test for each promise of the interface `Broker`. `makeBroker` returns a new
 * broker, not yet started, on a separate log with the history and the clock of the test. The suite does not assume that
 * any step is synchronous unless the interface promises it.
 */
export function brokerContract(
  makeBroker: MakeBroker,
  { describe, it }: ContractRunner,
  { entryLimits = true }: ContractExtent = {},
): void {
  const promise: ContractIt = (name, test) => it(name, () => withBrokers(makeBroker, test))
  const parts = {
    publishing,
    keys,
    'odd texts': oddTexts,
    'handing over': handingOver,
    reading,
    losses,
    ...(entryLimits && { 'entries of history.channels': entries }),
    latest,
    ephemeral,
    closing,
  }
  for (const [name, part] of Object.entries(parts)) describe(name, () => part(promise))
}
