import type { Connection } from './connection.ts'
import { clock, element, make, prepend } from './element.ts'

const ROWS = 60

/** Every request that the server has answered; a stream when it ends. */
export function showRequests({ hear }: Connection): void {
  const rows = element('requests')
  hear('requests', ({ at, method, path, status, ms }) => {
    const row = document.createElement('tr')
    const cells = [clock(at), `${method} ${path}`, status === null ? 'gone' : String(status), duration(ms)]
    row.append(...cells.map((text) => make('td', text)))
    row.children[2]!.className = status === null || status >= 400 ? 'bad' : ''
    row.lastElementChild!.className = 'number'
    prepend(rows, row, ROWS)
  })
}

function duration(ms: number): string {
  return ms < 10_000 ? `${ms.toFixed(ms < 100 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(0)} s`
}
