import type { NewEvent } from '../broker/broker.ts'
import { isPattern, PatternTree, parseChannelOrPattern } from '../channel-name.ts'
import { SseError } from '../errors.ts'
import { wrongOption } from '../option.ts'

// [spec] https://standardschema.dev: only the types that are used here, so no package is needed.

/** A problem that a schema found in a value. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

type Result = { readonly issues?: readonly SchemaIssue[] | undefined }

/** A schema of Zod, Valibot, ArkType and others. */
export interface Schema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Result | Promise<Result>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

/** Checks published data with the schema of its channel's name, or of the first pattern that matches it. */
export class Schemas {
  readonly #exact = new Map<string, Schema>()
  readonly #patterns = new PatternTree<Schema>()

  /** Throws a TypeError for a key that is not a channel or pattern, and for a value that is not a schema. */
  constructor(schemas: Readonly<Record<string, Schema | undefined>>) {
    for (const [name, schema] of Object.entries(schemas)) {
      parseChannelOrPattern(name)
      if (typeof schema?.['~standard']?.validate !== 'function') {
        throw wrongOption(`schemas[${JSON.stringify(name)}]`, 'a Standard Schema', schema)
      }
      if (isPattern(name)) this.#patterns.set(name, schema)
      else this.#exact.set(name, schema)
    }
  }

  /** Rejects with ERR_SSE_DATA_INVALID for the first event whose data its schema refuses. The data stays unchanged. */
  async assert(events: readonly NewEvent[]): Promise<void> {
    for (const { channel, data, json } of events) {
      const schema = this.#schemaOf(channel)
      if (schema === undefined) continue
      const { issues } = await schema['~standard'].validate(json ? JSON.parse(data) : data)
      if (issues === undefined) continue
      const found = issues.map(({ message, path = [] }) => ({
        message,
        path: path.map((part) => String(typeof part === 'object' ? part.key : part)),
      }))
      const said = found.map(({ message, path }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
      throw new SseError('ERR_SSE_DATA_INVALID', `The data for ${channel} is not valid. ${said.join(' ')}`, {
        issues: found,
      })
    }
  }

  #schemaOf(channel: string): Schema | undefined {
    let schema = this.#exact.get(channel)
    if (schema === undefined) {
      this.#patterns.match(channel, (one) => {
        schema ??= one
      })
    }
    return schema
  }
}
