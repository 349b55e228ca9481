import type { Connection } from './connection.ts'
import { element, make, prepend } from './element.ts'

const ITEMS = 200

/** The messages of all visitors, and the number of readers. */
export function showBoard({ hear }: Connection): void {
  const list = element('board')
  const form = element('board-form', HTMLFormElement)
  const input = element('board-text', HTMLInputElement)
  const refused = element('board-refused')

  hear('board', (data) => {
    const text = typeof data === 'string' ? data : (data as { text?: unknown } | null)?.text
    prepend(list, make('li', typeof text === 'string' ? text : JSON.stringify(data)), ITEMS)
  })
  hear('readers', ({ board }) => {
    element('readers').textContent = board === 1 ? '1 reader' : `${board} readers`
  })
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    refused.textContent = ''
    try {
      const response = await fetch('/channels/board', { method: 'POST', body: input.value })
      if (response.ok) input.value = ''
      else refused.textContent = (await response.json()).detail
    } catch {
      refused.textContent = 'Not sent: the server cannot be reached.'
    }
  })
  element('origin').textContent = location.origin
}
