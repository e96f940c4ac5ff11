import type { HostOptions } from "./host.ts";

/** What a host says to EHLO, line by line. */
export function ehloLines({ name, offers, tls, showsTls }: HostOptions, secure: boolean): string[] {
  const { pipelining, eightBit, chunking, dsn, requireTls, rcptMax, mailMax } = offers;
  const limits = [
    ...(rcptMax === null ? [] : [`RCPTMAX=${rcptMax}`]),
    ...(mailMax === null ? [] : [`MAILMAX=${mailMax}`]),
  ];
  return [
    name,
    "SIZE 10000000",
    ...(pipelining ? ["PIPELINING"] : []),
    ...(eightBit ? ["8BITMIME"] : []),
    ...(chunking ? ["CHUNKING"] : []),
    ...(dsn ? ["DSN"] : []),
    "ENHANCEDSTATUSCODES",
    ...(limits.length === 0 ? [] : [`LIMITS ${limits.join(" ")}`]),
    ...(requireTls && secure ? ["REQUIRETLS"] : []),
    ...(tls !== null && !secure && showsTls() ? ["STARTTLS"] : []),
  ];
}
