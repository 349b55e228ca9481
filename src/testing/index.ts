export type { Clock } from '../clock.ts'
export {
  type BrokerContractHistory,
  type BrokerContractOptions,
  brokerContract,
  type ContractRunner,
  type MakeBroker,
} from './broker-contract.ts'
export type { NextOptions, ReceivedEvent } from './inbox.ts'
export { type ManualClock, type ManualClockOptions, manualClock } from './manual-clock.ts'
export { type OpenStream, type OpenStreamOptions, openStream } from './open-stream.ts'
