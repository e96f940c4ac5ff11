// A parsed file before it is checked: anything may stand anywhere.

/** The value of a key, undefined where there is none or `table` is no table. */
export function field(table: unknown, key: string): unknown {
  if (typeof table !== "object" || table === null || !Object.hasOwn(table, key)) return undefined;
  return Reflect.get(table, key);
}

/** The elements of a list, none where there is no list. */
export function list(table: unknown, key: string): readonly unknown[] {
  const value = field(table, key);
  return Array.isArray(value) ? value : [];
}
