import type { NewEvent } from '../broker/broker.ts'
import { isPattern, PatternTree, parseChannelOrPattern } from '../channel-name.ts'
import { SseError } from '../errors.ts'
import { wrongOption } from '../option.ts'

// [spec] https://standardschema.dev: the types that are needed here, so that no package is.

/** What a schema finds wrong with a value. */
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

/** What is published to each channel is checked by the schema of its name, else of the first pattern that covers it. */
export class Schemas {
  readonly #exact = new Map<string, Schema>()
  readonly #patterns = new PatternTree<Schema>()

  /** Throws a TypeError that names what is not a channel, a pattern or a schema. */
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

  /** Rejects with ERR_SSE_DATA_INVALID for the first event whose data its schema refuses. The data stays as it is. */
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
