/** The element of an id, which the page has. Throws where it has not. */
export function element<E extends HTMLElement = HTMLElement>(id: string, type?: { new (): E }): E {
  const found = document.getElementById(id)
  if (found === null || (type !== undefined && !(found instanceof type))) throw new Error(`There is no #${id}.`)
  return found as E
}

/** A new element with text in it, and only as text. */
export function make(name: string, text = '', className = ''): HTMLElement {
  const made = document.createElement(name)
  made.textContent = text
  if (className !== '') made.className = className
  return made
}

/** Inserts an item first, and removes the oldest beyond `most`. */
export function prepend(list: Element, item: Element, most: number): void {
  list.prepend(item)
  while (list.childElementCount > most) list.lastElementChild!.remove()
}

export function clock(at: number | string): string {
  return new Date(at).toLocaleTimeString([], { hour12: false })
}
