import { SseError } from './errors.ts'

const MAX_LENGTH = 200
const NAME = /^[A-Za-z0-9_:@-]+(?:\.[A-Za-z0-9_:@-]+)*$/
const PATTERN = /^(?:(?:\*|[A-Za-z0-9_:@-]+)\.)*(?:\*|>|[A-Za-z0-9_:@-]+)$/

/** Whether `name` has a wildcard token. It does not check that the name is well formed. */
export function isPattern(name: string): boolean {
  return name.includes('*') || name.includes('>')
}

/**
 * Returns `name` if it is a channel name: 1–200 characters, tokens of `[A-Za-z0-9_:@-]` joined by `.`. Otherwise, and
 * for a wildcard, throws ERR_SSE_CHANNEL_NAME.
 */
export function parseChannelName(name: unknown): string {
  if (typeof name === 'string' && name.length <= MAX_LENGTH && NAME.test(name)) return name
  const isWildcard = typeof name === 'string' && PATTERN.test(name)
  const hint = isWildcard ? ' Use pattern() to subscribe to a wildcard.' : ''
  throw new SseError(
    'ERR_SSE_CHANNEL_NAME',
    `${quote(name)} is not a channel name: 1-${MAX_LENGTH} characters, tokens of A-Z a-z 0-9 _ : @ - joined by dots.${hint}`,
  )
}

/** Returns `name` if it is a channel name or a pattern: `*` stands for one token, `>` for one or more at the end. */
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

/** `Symbol.for`, so that patterns of another copy of this package are recognised. */
const PATTERN_OF = Symbol.for('express-sse-hub.pattern')

/** A channel pattern, made by `pattern()`. */
export interface ChannelPattern<P extends string = string> {
  readonly [PATTERN_OF]: P
  toString(): string
}

/**
 * Makes a channel pattern to subscribe to: `*` stands for one token, `>` for one or more at the end (`orders.*`,
 * `user.42.>`). A string is always a name, so a wildcard in a computed name cannot subscribe to other channels. Throws
 * ERR_SSE_CHANNEL_NAME.
 */
export function pattern<const P extends string>(text: P): ChannelPattern<P> {
  parseChannelOrPattern(text)
  return Object.freeze({ [PATTERN_OF]: text, toString: () => text })
}

/** Channels to subscribe to: names, patterns, or an array of them. */
export type ChannelSelection = string | ChannelPattern | readonly (string | ChannelPattern)[]

/** The checked texts of a selection, without duplicates. Throws ERR_SSE_CHANNEL_NAME. */
export function parseSelection(selection: unknown): readonly string[] {
  return [...new Set([selection].flat().map(parseSelected))]
}

function parseSelected(one: unknown): string {
  const text = typeof one === 'object' && one !== null ? (one as Partial<ChannelPattern>)[PATTERN_OF] : undefined
  return text === undefined ? parseChannelName(one) : parseChannelOrPattern(text)
}

/**
 * Makes one safe token of a channel name from any ID: `auth0|123`, an email address, an ID with dots. Letters, digits,
 * `_`, `@` and `-` stay; `:` is doubled; each other byte of UTF-8 becomes `:` and two hexadecimal digits. Different IDs
 * give different tokens, and `fromChannelToken` reverses it. Throws ERR_SSE_CHANNEL_NAME for text that is not well
 * formed, or if the token is longer than a channel name.
 */
export function channelToken(id: string | number | bigint): string {
  const text = String(id)
  if (!text.isWellFormed()) {
    throw new SseError('ERR_SSE_CHANNEL_NAME', 'The ID of channelToken() must be well-formed text.')
  }
  let token = text === '' ? EMPTY_TOKEN : ''
  for (const byte of new TextEncoder().encode(text)) {
    const character = String.fromCharCode(byte)
    if (character === ':') token += '::'
    else token += /[A-Za-z0-9_@-]/.test(character) ? character : `:${byte.toString(16).padStart(2, '0')}`
  }
  if (token.length > MAX_LENGTH) {
    throw new SseError('ERR_SSE_CHANNEL_NAME', `The token of an ID must have at most ${MAX_LENGTH} characters.`)
  }
  return token
}

/** A colon is followed by another one or by two hexadecimal digits, so no other ID has this token. */
const EMPTY_TOKEN = ':_'

/** The ID from which `channelToken` made `token`. Throws ERR_SSE_CHANNEL_NAME for any other text. */
export function fromChannelToken(token: string): string {
  if (token === EMPTY_TOKEN) return ''
  const bytes: number[] = []
  const isToken = /^(?:[A-Za-z0-9_@-]|::|:[0-9a-f]{2})+$/.test(token)
  for (const [part] of isToken ? token.matchAll(/:[0-9a-f]{2}|::|./g) : []) {
    bytes.push(part.length === 3 ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0))
  }
  const id = new TextDecoder().decode(Uint8Array.from(bytes))
  if (isToken && channelToken(id) === token) return id
  throw new SseError('ERR_SSE_CHANNEL_NAME', `${quote(token)} is not a token of channelToken().`)
}

/**
 * Whether `entry` also matches everything that `asked` (a name or a pattern) can match. If `asked` is a name, this is
 * ordinary matching.
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

/** Whether a channel may match both, each a name or a pattern. */
export function overlaps(one: string, other: string): boolean {
  const [left, right] = [one.split('.'), other.split('.')]
  const length = Math.max(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const [a, b] = [left[i], right[i]]
    if (a === undefined || b === undefined) return false
    if (a === '>' || b === '>') return true
    if (a !== b && a !== '*' && b !== '*') return false
  }
  return true
}

/** A node of the tree, reached by the tokens of its label. */
interface Node<T> {
  /** One or more tokens, joined by dots: a pattern that shares no beginning with others is a single node. */
  label: string
  children: Map<string, Node<T>> | undefined
  /** The value of the pattern that ends here. */
  value: T | undefined
}

/**
 * Patterns as a tree of tokens, each with a value. The cost of a lookup depends on the number of tokens in the name,
 * not on the number of patterns. The tree takes little more memory than the text of the patterns.
 */
export class PatternTree<T> {
  readonly #root: Node<T> = { label: '', children: undefined, value: undefined }

  get(pattern: string): T | undefined {
    return this.#path(pattern)?.at(-1)?.value
  }

  set(pattern: string, value: T): void {
    let node = this.#root
    let rest = pattern
    for (;;) {
      node.children ??= new Map()
      const child = node.children.get(firstToken(rest))
      if (child === undefined) {
        node.children.set(firstToken(rest), { label: rest, children: undefined, value })
        return
      }
      const shared = sharedTokens(child.label, rest)
      if (shared.length < child.label.length) {
        // The child stays below the tokens that both have in common.
        const lower = { ...child, label: child.label.slice(shared.length + 1) }
        child.label = shared
        child.children = new Map([[firstToken(lower.label), lower]])
        child.value = undefined
      }
      if (shared.length === rest.length) {
        child.value = value
        return
      }
      rest = rest.slice(shared.length + 1)
      node = child
    }
  }

  /** Removes the pattern and every node that only it needed. */
  delete(pattern: string): void {
    const path = this.#path(pattern)
    if (path === undefined) return
    path.at(-1)!.value = undefined
    for (let i = path.length - 1; i >= 0; i--) {
      const node = path[i]!
      if (node.value !== undefined || node.children !== undefined) return
      const { children } = i === 0 ? this.#root : path[i - 1]!
      children!.delete(firstToken(node.label))
      if (children!.size > 0) return
      if (i === 0) this.#root.children = undefined
      else path[i - 1]!.children = undefined
    }
  }

  /** Calls `visit` with the value of each pattern that matches `name`. */
  match(name: string, visit: (value: T) => void): void {
    if (this.#root.children !== undefined) walk(this.#root.children, name, 0, visit)
  }

  /** Whether any pattern matches `name`. */
  has(name: string): boolean {
    let found = false
    this.match(name, () => {
      found = true
    })
    return found
  }

  /** The nodes from below the root to the node of the pattern. */
  #path(pattern: string): Node<T>[] | undefined {
    const path: Node<T>[] = []
    let node = this.#root
    for (let rest = pattern; ; rest = rest.slice(node.label.length + 1)) {
      const child = node.children?.get(firstToken(rest))
      if (child === undefined || sharedTokens(child.label, rest) !== child.label) return undefined
      path.push(child)
      node = child
      if (child.label.length === rest.length) return path
    }
  }
}

function firstToken(text: string): string {
  const dot = text.indexOf('.')
  return dot === -1 ? text : text.slice(0, dot)
}

/** The tokens at the beginning of both texts. */
function sharedTokens(one: string, other: string): string {
  let end = 0
  let length = 0
  while (length < one.length && one[length] === other[length]) {
    length++
    const isEnd = length === one.length || one[length] === '.'
    if (isEnd && (length === other.length || other[length] === '.')) end = length
  }
  return one.slice(0, end)
}

/** Visits the patterns that match `name` from the token at `from` on. */
function walk<T>(children: ReadonlyMap<string, Node<T>>, name: string, from: number, visit: (value: T) => void): void {
  const dot = name.indexOf('.', from)
  const rest = children.get('>')
  if (rest?.value !== undefined) visit(rest.value)
  const exact = children.get(name.slice(from, dot === -1 ? name.length : dot))
  if (exact !== undefined) enter(exact, name, from, visit)
  const any = children.get('*')
  if (any !== undefined) enter(any, name, from, visit)
}

function enter<T>(node: Node<T>, name: string, from: number, visit: (value: T) => void): void {
  const end = matchLabel(node.label, name, from)
  if (end === -1) return
  if (end >= name.length) {
    if (node.value !== undefined) visit(node.value)
  } else if (node.children !== undefined) {
    walk(node.children, name, end + 1, visit)
  }
}

/**
 * The index in `name` after the tokens of `label`, which must start at `from`; -1 if `name` does not have them there.
 */
function matchLabel(label: string, name: string, from: number): number {
  let at = from
  for (let i = 0; i < label.length; i++) {
    // The name has ended.
    if (at > name.length || (at === name.length && label[i] !== '.')) return -1
    if (label[i] === '>') return name.length
    if (label[i] === '*') {
      const dot = name.indexOf('.', at)
      at = dot === -1 ? name.length : dot
    } else if (label[i] === '.') {
      if (name[at] !== '.') return -1
      at++
    } else {
      if (name[at] !== label[i]) return -1
      at++
    }
  }
  return at === name.length || name[at] === '.' ? at : -1
}
