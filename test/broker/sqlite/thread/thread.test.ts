import { expect, it } from 'vitest'
import { findWorker } from '../../../../src/broker/sqlite/thread/thread.ts'

it('the worker of a log is looked for when it is needed', () => {
  expect(findWorker().pathname).toMatch(/worker-from-source\.mjs$/)
})
