import { decodeUtf8, encodeUtf8 } from "../../src/base/index.ts";

/** What one line of a dialogue asks for. Lines that follow each other in one direction are one step. */
export type Step =
  /** `C:` lines, sent in one piece: a pipelined group. */
  | { readonly kind: "send"; readonly octets: Uint8Array }
  /** `S:` the code, the status where one is written, and among the reply's lines those of `250-…`. */
  | {
      readonly kind: "reply";
      readonly code: number;
      readonly status: string | null;
      readonly lines: readonly string[];
      readonly absent: readonly string[];
    }
  /** `T:` the client runs a TLS handshake; `T: stranger` with a certificate that nobody knows. */
  | { readonly kind: "tls"; readonly shown?: "stranger" }
  /** `X:` the server closes. */
  | { readonly kind: "closed" }
  /** `H:` the server is told to stop. */
  | { readonly kind: "stop" }
  /** `W:` seconds pass. */
  | { readonly kind: "wait"; readonly milliseconds: number }
  /** `M:` lines of the message that the sink was given, whole and finished. */
  | { readonly kind: "message"; readonly octets: Uint8Array };

export interface Dialogue {
  readonly title: string;
  /** `name` or `name=value` behind the fence. */
  readonly settings: ReadonlyMap<string, string>;
  readonly steps: readonly Step[];
}

/** Reads the dialogues of a Markdown page: each fenced block named `smtp` under its heading. */
export function readDialogues(page: string): readonly Dialogue[] {
  const dialogues: Dialogue[] = [];
  let title = "";
  let block: string[] | null = null;
  let settings = new Map<string, string>();
  for (const line of page.split("\n")) {
    if (block !== null) {
      if (line.startsWith("```")) {
        dialogues.push({ title, settings, steps: readSteps(title, block) });
        block = null;
      } else block.push(line);
    } else if (line.startsWith("## ")) title = line.slice(3).trim();
    else if (line.startsWith("```smtp")) {
      settings = new Map(line.split(" ").slice(1).map(readSetting));
      block = [];
    }
  }
  if (block !== null) throw new Error(`${title}: the block is not closed`);
  return dialogues;
}

function readSetting(text: string): [string, string] {
  const [name = "", value = ""] = text.split("=");
  return [name, value];
}

function readSteps(title: string, block: readonly string[]): readonly Step[] {
  const steps: Step[] = [];
  let lines: string[] = [];
  let sent = "";
  const endSend = () => {
    if (sent !== "") steps.push({ kind: "send", octets: octetsOf(sent) });
    sent = "";
  };
  let message: string | null = null;
  const endMessage = () => {
    if (message !== null) steps.push({ kind: "message", octets: octetsOf(message) });
    message = null;
  };
  for (const line of block) {
    if (line.trim() === "") continue;
    const mark = line.slice(0, 2);
    const text = line.slice(3);
    if (mark !== "C:" && mark !== "C~") endSend();
    if (mark !== "M:" && mark !== "M~") endMessage();
    if (mark === "C:") sent += `${text}\\r\\n`;
    else if (mark === "C~") sent += text;
    else if (mark === "S:" && text[3] === "-") lines.push(text.slice(4));
    else if (mark === "S:") {
      steps.push(readReply(text, lines));
      lines = [];
    } else if (mark === "N:") forbid(steps, text);
    else if (mark === "T:") steps.push(text === "stranger" ? { kind: "tls", shown: text } : { kind: "tls" });
    else if (mark === "X:") steps.push({ kind: "closed" });
    else if (mark === "H:") steps.push({ kind: "stop" });
    else if (mark === "W:") steps.push({ kind: "wait", milliseconds: Number(text) * 1000 });
    else if (mark === "M:") message = `${message ?? ""}${text}\\r\\n`;
    else if (mark === "M~") message = `${message ?? ""}${text}`;
    else throw new Error(`${title}: not a line of a dialogue: ${line}`);
  }
  endSend();
  endMessage();
  return steps;
}

function readReply(text: string, before: readonly string[]): Step {
  const found = /^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))?(?: (.*))?$/.exec(text);
  if (found === null) throw new Error(`not a reply: ${text}`);
  const lines = before.length > 0 && found[3] !== undefined ? [...before, found[3]] : before;
  return { kind: "reply", code: Number(found[1]), status: found[2] ?? null, lines, absent: [] };
}

/** `N: KEYWORD` after a reply: none of its lines begins so. */
function forbid(steps: Step[], keyword: string): void {
  const last = steps.pop();
  if (last?.kind !== "reply") throw new Error(`N: ${keyword} must follow a reply`);
  steps.push({ ...last, absent: [...last.absent, keyword] });
}

/** `\r`, `\n`, `\\`, `\xHH`, and `\*COUNT(text)` for repetition. */
function octetsOf(text: string): Uint8Array {
  const repeated = text.replace(/\\\*(\d+)\(([^)]*)\)/g, (_, count: string, unit: string) =>
    unit.repeat(Number(count)),
  );
  const octets: number[] = [];
  const source = encodeUtf8(repeated);
  for (let at = 0; at < source.length; at++) {
    const octet = source[at] ?? 0;
    if (octet !== 0x5c) {
      octets.push(octet);
      continue;
    }
    const letter = String.fromCharCode(source[++at] ?? 0);
    if (letter === "x") {
      octets.push(Number.parseInt(decodeUtf8(source.subarray(at + 1, at + 3)) ?? "", 16));
      at += 2;
    } else octets.push({ r: 0x0d, n: 0x0a, "\\": 0x5c }[letter] ?? letter.charCodeAt(0));
  }
  return Uint8Array.from(octets);
}
