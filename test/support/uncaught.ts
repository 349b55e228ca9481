import { onTestFinished } from 'vitest'

/** The errors that would end the process, until the test is over. */
export function uncaught(): unknown[] {
  const errors: unknown[] = []
  const hear = (error: unknown) => errors.push(error)
  process.on('uncaughtException', hear)
  process.on('unhandledRejection', hear)
  onTestFinished(() => {
    process.off('uncaughtException', hear)
    process.off('unhandledRejection', hear)
  })
  return errors
}
