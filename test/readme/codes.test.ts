import { describe, expect, it } from 'vitest'
import { SseError, type SseErrorCode } from '../../src/index.ts'
import { documentAt, sourceOf } from './documents.ts'

const README = documentAt('README.md')
const [, ...rows] = README.rows('Error codes')

describe('the table of error codes', () => {
  it('has a row for every code of the sources, in order', () => {
    const all = [...sourceOf('errors.ts').matchAll(/^ {2}(ERR_SSE_\w+): \[/gm)].map(([, code]) => code)
    expect(all.length).toBeGreaterThan(25)
    expect(rows.map(([cell]) => /`(\w+)`$/.exec(cell!)?.[1])).toEqual(all)
  })

  it('has the anchor that the type of a problem document points to in each row', () => {
    expect(sourceOf('express/problem.ts')).toContain('README}#$' + '{code.toLowerCase()}')
    for (const [cell] of rows) {
      const code = /`(\w+)`$/.exec(cell!)![1]!
      expect(cell).toBe(`<a id="${code.toLowerCase()}"></a>\`${code}\``)
    }
  })

  it('has the status of each code', () => {
    for (const [cell, status] of rows) {
      const code = /`(\w+)`$/.exec(cell!)![1]! as SseErrorCode
      expect([code, new SseError(code, '').status]).toEqual([code, Number(status)])
    }
  })

  it('of the client has a row for every code', () => {
    const all = [...sourceOf('client/error.ts').matchAll(/^ {2}\| '(ERR_SSE_\w+)'/gm)].map(([, code]) => `\`${code}\``)
    expect(all.length).toBeGreaterThan(5)
    const codes = documentAt('src/client/README.md').rows('Errors')
    expect(codes.map(([first]) => first)).toEqual(expect.arrayContaining(all))
  })
})
