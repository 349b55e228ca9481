/** An array as a binary heap: its first item is the one that comes before all others. */
export class Heap<T> {
  readonly #items: T[]
  readonly #isBefore: (one: T, other: T) => boolean

  /** Orders `items` in place, and works on them from then on. */
  constructor(items: T[], isBefore: (one: T, other: T) => boolean) {
    this.#items = items
    this.#isBefore = isBefore
    for (let i = (items.length >>> 1) - 1; i >= 0; i--) this.#sink(i)
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    let at = this.#items.length
    this.#items.push(item)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!this.#isBefore(item, this.#items[parent]!)) break
      this.#items[at] = this.#items[parent]!
      at = parent
    }
    this.#items[at] = item
  }

  /** The first item comes later than before: it moves to its new place. */
  delayFirst(): void {
    this.#sink(0)
  }

  removeFirst(): void {
    const last = this.#items.pop()
    if (this.#items.length === 0) return
    this.#items[0] = last!
    this.#sink(0)
  }

  #sink(from: number): void {
    const items = this.#items
    const item = items[from]!
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#isBefore(items[child + 1]!, items[child]!)) child++
      if (!this.#isBefore(items[child]!, item)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = item
  }
}

/**
 * Finds the item with the smallest key among items whose keys only rise. A change of a key costs nothing: it is looked up
 * again when its item comes first.
 */
export class RisingHeap<T> {
  readonly #keyOf: (item: T) => number | undefined
  readonly #heap = new Heap<{ readonly item: T; key: number }>([], (one, other) => one.key < other.key)
  readonly #items = new Set<T>()

  /** `keyOf` returns undefined for an item that is to be removed. */
  constructor(keyOf: (item: T) => number | undefined) {
    this.#keyOf = keyOf
  }

  /** Adds an item, unless it is there. */
  add(item: T): void {
    if (this.#items.has(item)) return
    this.#items.add(item)
    this.#heap.push({ item, key: this.#keyOf(item)! })
  }

  /** The item with the smallest key; undefined when there is none. */
  first(): T | undefined {
    for (let top = this.#heap.first; top !== undefined; top = this.#heap.first) {
      const key = this.#keyOf(top.item)
      if (key === top.key) return top.item
      if (key === undefined) {
        this.#items.delete(top.item)
        this.#heap.removeFirst()
      } else {
        top.key = key
        this.#heap.delayFirst()
      }
    }
    return undefined
  }
}
