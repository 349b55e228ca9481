import { SseError } from './errors.ts'

const MAX_LENGTH = 200
const NAME = /^[A-Za-z0-9_:@-]+(?:\.[A-Za-z0-9_:@-]+)*$/
const PATTERN = /^(?:(?:\*|[A-Za-z0-9_:@-]+)\.)*(?:\*|>|[A-Za-z0-9_:@-]+)$/

/** Whether `name` has a wildcard token. Says nothing about whether it is well formed. */
export function isPattern(name: string): boolean {
  return name.includes('*') || name.includes('>')
}

/**
 * Returns `name` when it is a channel name: 1–200 characters, tokens of `[A-Za-z0-9_:@-]` joined by `.`.
 * Throws ERR_SSE_CHANNEL_NAME otherwise; a pattern is not a name.
 */
export function parseChannelName(name: unknown): string {
  if (typeof name === 'string' && name.length <= MAX_LENGTH && NAME.test(name)) return name
  const hint = typeof name === 'string' && PATTERN.test(name) ? ' A pattern cannot be published to.' : ''
  throw new SseError(
    'ERR_SSE_CHANNEL_NAME',
    `${quote(name)} is not a channel name: 1-${MAX_LENGTH} characters, tokens of A-Z a-z 0-9 _ : @ - joined by dots.${hint}`,
  )
}

/** Returns `name` when it is a channel name or a pattern: `*` stands for one token, `>` for one or more at the end. */
export function parseChannelOrPattern(name: unknown): string {
  if (typeof name === 'string' && name.length <= MAX_LENGTH && PATTERN.test(name)) return name
  throw new SseError(
    'ERR_SSE_CHANNEL_NAME',
    `${quote(name)} is not a channel name or pattern: 1-${MAX_LENGTH} characters, tokens of A-Z a-z 0-9 _ : @ - joined by dots; * stands for one token, > for one or more at the end.`,
  )
}

function quote(name: unknown): string {
  return typeof name === 'string'
    ? JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
    : `A ${typeof name}`
}

/**
 * Whether everything that `asked` (a name or a pattern) can match is also matched by `entry`. With a name as `asked`
 * this is ordinary matching.
 */
export function covers(entry: string, asked: string): boolean {
  if (entry === asked) return true
  const want = entry.split('.')
  const have = asked.split('.')
  for (let i = 0; i < want.length; i++) {
    if (want[i] === '>') return have.length > i
    const token = have[i]
    if (token === undefined || token === '>') return false
    if (want[i] !== '*' && want[i] !== token) return false
  }
  return have.length === want.length
}

/** Whether the channel `name` is one that `pattern` stands for. */
export function matchesPattern(pattern: string, name: string): boolean {
  return covers(pattern, name)
}

interface Node<T> {
  readonly children: Map<string, Node<T>>
  /** The value of the pattern that ends here. */
  value: T | undefined
}

/**
 * Patterns as a tree of tokens, each with a value. Looking a name up costs the number of its tokens, not of patterns.
 */
export class PatternTree<T> {
  readonly #root: Node<T> = { children: new Map(), value: undefined }

  get(pattern: string): T | undefined {
    let node: Node<T> | undefined = this.#root
    for (const token of pattern.split('.')) {
      node = node.children.get(token)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set(pattern: string, value: T): void {
    let node = this.#root
    for (const token of pattern.split('.')) {
      let next = node.children.get(token)
      if (next === undefined) {
        next = { children: new Map(), value: undefined }
        node.children.set(token, next)
      }
      node = next
    }
    node.value = value
  }

  /** Removes the pattern and every node that only it needed. */
  delete(pattern: string): void {
    const path: [Node<T>, string][] = []
    let node = this.#root
    for (const token of pattern.split('.')) {
      const next = node.children.get(token)
      if (next === undefined) return
      path.push([node, token])
      node = next
    }
    node.value = undefined
    for (let i = path.length - 1; i >= 0; i--) {
      const [parent, token] = path[i]!
      const child = parent.children.get(token)!
      if (child.value !== undefined || child.children.size > 0) return
      parent.children.delete(token)
    }
  }

  /** Calls `visit` with the value of each pattern that stands for `name`. */
  match(name: string, visit: (value: T) => void): void {
    if (this.#root.children.size > 0) walk(this.#root, name.split('.'), 0, visit)
  }

  /** Whether any pattern stands for `name`. */
  has(name: string): boolean {
    let found = false
    this.match(name, () => {
      found = true
    })
    return found
  }
}

function walk<T>(node: Node<T>, tokens: readonly string[], i: number, visit: (value: T) => void): void {
  const token = tokens[i]
  if (token === undefined) {
    if (node.value !== undefined) visit(node.value)
    return
  }
  const rest = node.children.get('>')
  if (rest?.value !== undefined) visit(rest.value)
  const exact = node.children.get(token)
  if (exact !== undefined) walk(exact, tokens, i + 1, visit)
  const any = node.children.get('*')
  if (any !== undefined) walk(any, tokens, i + 1, visit)
}
