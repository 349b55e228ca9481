import { covers } from '../channel-name.ts'

// [spec] https://standardschema.dev: the types that are needed here, so that no package is.

interface Issue {
  readonly message: string
}
type Result<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] }

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

/** The schema of a channel: a name wins, then the first pattern. */
export function schemaOf(schemas: object, channel: string): StandardSchema | undefined {
  const own = schemas as Record<string, StandardSchema>
  return own[channel] ?? own[Object.keys(schemas).find((pattern) => covers(pattern, channel))!]
}
