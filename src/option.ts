// Checks of option values. An invalid value throws a TypeError that names the option; `undefined` means not given.

/** An integer within bounds. */
export function integerOption(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
  throw wrongOption(name, `an integer from ${min} to ${max}`, value)
}

export function booleanOption(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (typeof value === 'boolean') return value
  throw wrongOption(name, 'true or false', value)
}

export function choiceOption<T extends string>(name: string, value: unknown, fallback: T, choices: readonly T[]): T {
  if (value === undefined) return fallback
  if (choices.includes(value as T)) return value as T
  throw wrongOption(name, choices.map((choice) => `'${choice}'`).join(' or '), value)
}

/** A function with at most `maxParameters` parameters: more parameters mean that a middleware was passed by mistake. */
export function functionOption<T extends (...args: never[]) => unknown>(
  name: string,
  value: T | undefined,
  maxParameters = Number.POSITIVE_INFINITY,
): T | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'function') throw wrongOption(name, 'a function', value)
  if (value.length > maxParameters) {
    throw new TypeError(
      `Option \`${name}\` must be a function of at most ${maxParameters} parameters that answers by its result, got a middleware.`,
    )
  }
  return value
}

/** The options of a call: an object or nothing, with known names only. */
export function optionsObject<T extends object>(
  of: string,
  options: T | undefined,
  names: readonly (keyof T & string)[],
): T {
  if (options === undefined) return {} as T
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`The options of ${of} must be an object, got ${show(options)}.`)
  }
  for (const name of Object.keys(options)) {
    if (!(names as readonly string[]).includes(name)) {
      throw new TypeError(`${of} has no option \`${name}\`. Its options: ${names.join(', ')}.`)
    }
  }
  return options
}

export function wrongOption(name: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`Option \`${name}\` must be ${wanted}, got ${show(value)}.`)
}

export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value === undefined || value === null || typeof value === 'number' || typeof value === 'boolean') {
    return String(value)
  }
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
