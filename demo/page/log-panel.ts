import type { Connection } from './connection.ts'
import { element, make } from './element.ts'

const LINES = 200

/** The lines of a file as they are appended. Stays at the end unless the visitor has scrolled away. */
export function showLog({ hear }: Connection): void {
  const log = element('log')
  hear('server', ({ log: file }) => {
    element('log-file').textContent = file
  })
  hear('log', (text) => {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 5
    log.append(make('div', text))
    while (log.childElementCount > LINES) log.firstElementChild!.remove()
    if (atEnd) log.scrollTop = log.scrollHeight
  })
}
