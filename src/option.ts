// Checks of option values. A wrong one throws a TypeError that names the option; `undefined` means not passed.

/** A whole number within bounds. */
export function integerOption(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
  throw new TypeError(`The option ${name} is a whole number from ${min} to ${max}, not ${show(value)}.`)
}

export function booleanOption(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (typeof value === 'boolean') return value
  throw new TypeError(`The option ${name} is true or false, not ${show(value)}.`)
}

export function choiceOption<T extends string>(name: string, value: unknown, fallback: T, choices: readonly T[]): T {
  if (value === undefined) return fallback
  if (choices.includes(value as T)) return value as T
  throw new TypeError(`The option ${name} is one of ${choices.map((c) => `'${c}'`).join(', ')}, not ${show(value)}.`)
}

/** A function that takes at most `maxParameters`: one more means that something else was passed, such as a middleware. */
export function functionOption<T extends (...args: never[]) => unknown>(
  name: string,
  value: T | undefined,
  maxParameters = Number.POSITIVE_INFINITY,
): T | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'function') throw new TypeError(`The option ${name} is a function, not ${show(value)}.`)
  if (value.length > maxParameters) {
    throw new TypeError(
      `The option ${name} is a function of at most ${maxParameters} parameters, not a middleware: it answers by its result.`,
    )
  }
  return value
}

/** The options of a call: an object or nothing, with none but the names that are known. */
export function optionsObject<T extends object>(
  of: string,
  options: T | undefined,
  names: readonly (keyof T & string)[],
): T {
  if (options === undefined) return {} as T
  if (typeof options !== 'object' || options === null) throw new TypeError(`The options of ${of} are an object.`)
  for (const name of Object.keys(options)) {
    if (!(names as readonly string[]).includes(name)) {
      throw new TypeError(`${of} has no option ${JSON.stringify(name)}. It has: ${names.join(', ')}.`)
    }
  }
  return options
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
