/* How the simulator reads messages: by its own few lines, so that a fault of the parsers that it tests does not blind it. */

export interface ReadMessage {
  /** Of the message itself, or of the one that a report returns. */
  readonly token: string | null;
  /** Trace fields, the newest first. */
  readonly received: readonly { readonly host: string; readonly id: string }[];
  readonly messageId: { readonly id: string; readonly host: string } | null;
  /** All octets behind the trace fields. */
  readonly untraced: string;
}

const FIELD_END = /\r\n(?![ \t])/g;

export function readMessage(octets: Uint8Array): ReadMessage {
  const text = latin1(octets);
  const received: { host: string; id: string }[] = [];
  let at = 0;
  while (/^received:/i.test(text.slice(at, at + 9))) {
    FIELD_END.lastIndex = at;
    const end = FIELD_END.exec(text);
    if (end === null) break;
    const field = text.slice(at, end.index);
    const host = /\sby\s+(\S+)/.exec(field)?.[1] ?? "?";
    const id = /\sid\s+([0-9A-Za-z]+)/.exec(field)?.[1] ?? "?";
    received.push({ host, id });
    at = end.index + 2;
  }
  const untraced = text.slice(at);
  const header = untraced.slice(0, Math.max(0, untraced.indexOf("\r\n\r\n")));
  const named = /(?:^|\r\n)message-id:\s*<([^@>\s]+)@([^>\s]+)>/i.exec(header);
  const messageId = named === null ? null : { id: named[1] ?? "", host: named[2] ?? "" };
  const token = /(?:^|\r\n)X-Sim-Token: (\S+)/.exec(text)?.[1] ?? null;
  return { token, received, messageId, untraced };
}

/** What a report says of each recipient it tells of. */
export function readReport(octets: Uint8Array): { readonly recipient: string; readonly action: string }[] {
  const text = latin1(octets).replaceAll(/\r\n[ \t]+/g, " ");
  const told: { recipient: string; action: string }[] = [];
  for (const match of text.matchAll(/\r\nFinal-Recipient: *[a-z0-9-]+; *(\S+)\r\nAction: *(\S+)/gi)) {
    told.push({ recipient: match[1] ?? "", action: match[2] ?? "" });
  }
  return told;
}

export function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
}
