import { covers } from '../channel-name.ts'
import type { ReceivedEvent } from './events.ts'

// [spec] https://standardschema.dev: only the types that are used here, so no package is needed.

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] }

/** A schema of Zod, Valibot, ArkType and others. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

/** Schemas by channel or pattern. */
export type SchemasOf<Channels> = unknown extends Channels
  ? Readonly<Record<string, StandardSchema>>
  : { readonly [Key in keyof Channels & string]?: StandardSchema<Channels[Key]> | undefined }

/**
 * The output of the channel's schema for the data; the data itself without a schema. Throws the error of the schema.
 */
export async function validate(schemas: object, { channel, data }: ReceivedEvent): Promise<unknown> {
  const own = schemas as Record<string, StandardSchema>
  const schema = own[channel] ?? own[Object.keys(own).find((pattern) => covers(pattern, channel))!]
  if (!schema) return data
  const { issues, value } = (await schema['~standard'].validate(data)) as { issues?: unknown; value: unknown }
  if (issues) throw issues
  return value
}
