/** Makes the compiler prove that a `switch` is complete; reached only by a value that lies about its type. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}

/** Fails loudly on a broken invariant. Never for input from outside: that is a `Result`. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`);
}
