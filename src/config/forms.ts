// The forms of values that several tables of `schema.ts` share.
import { z } from "zod";
import type { Result } from "../base/index.ts";
import { parseByteSize, parseDuration, parseKeyPin, parseName, parseNetwork, parseTimeout } from "./values.ts";

/** A text with a form of its own. `accepted` tells the form; problems and the reference page both quote it. */
export function text<T>(accepted: string, parse: (text: string) => Result<T, string>) {
  return z
    .string()
    .transform((written, context) => {
      const parsed = parse(written);
      if (parsed.ok) return parsed.value;
      context.addIssue({ code: "custom", message: parsed.error });
      return z.NEVER;
    })
    .meta({ accepted });
}

export const domain = () => text('a domain name such as "mail.example.org"', parseName);
export const path = (accepted: string) => z.string().min(1).meta({ accepted });
export const byteSize = () => text('a size such as "512 KiB", "50 MiB" or "2 GiB", in quotes', parseByteSize);
export const duration = () => text('a duration such as "30s", "5m", "4h" or "5d", in quotes', parseDuration);
export const timeout = () => text('a duration of a day at most such as "30s" or "5m", in quotes', parseTimeout);
export const count = (most: number) => z.int().min(1).max(most);
export const network = () => text('a network such as "10.0.0.0/8" or "2001:db8::/32"', parseNetwork);
export const port = () => z.int().min(1).max(65_535);
export const keyPin = () =>
  text('the SHA-256 of a key (SubjectPublicKeyInfo), 64 hex digits or base64 such as "sha256//…="', parseKeyPin);
