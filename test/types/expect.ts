/** `true` when two types are the same, `false` when one is merely assignable to the other. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

export declare function expectType<T>(value: T): void
