declare const brand: unique symbol;

/** A `T` that was checked once and carries the proof in its type. Only the checking function casts to it. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
