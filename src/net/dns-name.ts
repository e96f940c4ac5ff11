/**
 * Names as DNS writes them (RFC 1035 §3.1, §4.1.4). In text they are lower case, have no trailing dot, and the root is `""`.
 */
const MAX_NAME_OCTETS = 255;
const MAX_LABEL_OCTETS = 63;

/**
 * A name in wire form, in the case it is given in; null for one that cannot be, or that has octets which are escaped in text: nobody's
 * mail host has them, and read as they stand they would name another.
 */
export function wireName(name: string): Uint8Array | null {
  const octets: number[] = [];
  for (const label of name === "" ? [] : name.split(".")) {
    if (label.length === 0 || label.length > MAX_LABEL_OCTETS || !/^[\x21-\x5b\x5d-\x7e]+$/.test(label)) return null;
    octets.push(label.length);
    for (let at = 0; at < label.length; at++) octets.push(label.charCodeAt(at));
  }
  octets.push(0);
  return octets.length > MAX_NAME_OCTETS ? null : Uint8Array.from(octets);
}

/**
 * A name at `at` whose own octets end by `end`. A pointer may lead anywhere before itself, so that no chain of them is endless
 * (RFC 1035 §4.1.4).
 */
export function readName(bytes: Uint8Array, at: number, end: number): { text: string; next: number } | null {
  const labels: string[] = [];
  let next: number | null = null;
  let total = 1;
  let limit = end;
  for (let position = at; ; ) {
    const length = bytes[position];
    if (length === undefined || position >= limit) return null;
    if (length === 0) return { text: labels.join("."), next: next ?? position + 1 };
    if (length >= 0xc0) {
      const low = bytes[position + 1];
      if (low === undefined || position + 2 > limit) return null;
      const target = ((length & 0x3f) << 8) | low;
      if (target >= position) return null;
      next ??= position + 2;
      limit = position;
      position = target;
      continue;
    }
    if (length > MAX_LABEL_OCTETS || position + 1 + length > limit) return null;
    total += length + 1;
    if (total > MAX_NAME_OCTETS) return null;
    labels.push(labelText(bytes, position + 1, position + 1 + length));
    position += 1 + length;
  }
}

/** True where `name` is `zone` or lies below it. */
export function isWithin(name: string, zone: string): boolean {
  return zone === "" || name === zone || name.endsWith(`.${zone}`);
}

/** Lower case; a dot inside a label and what is not printable are escaped as in zone files (RFC 1035 §5.1), so that no name passes for another. */
function labelText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) {
    const octet = bytes[at] ?? 0;
    const char = String.fromCharCode(octet);
    if (octet <= 0x20 || octet >= 0x7f) text += `\\${octet.toString().padStart(3, "0")}`;
    else text += char === "." || char === "\\" ? `\\${char}` : char;
  }
  return text.toLowerCase();
}
