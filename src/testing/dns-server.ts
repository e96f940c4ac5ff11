import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import {
  type Answer,
  AUTHENTIC_DATA,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from "dns-packet";
import { DEFAULT_TTL, type DnsEntry, type DnsFailure, type DnsZone, zoneEntries, zoneName } from "./dns-zone.ts";

/**
 * How the server answers: as it should; with no answer at all; with an error code; with the whole only by TCP; with the id or the
 * question of another query; with octets that are no message; with FORMERR to EDNS.
 */
export type DnsManner = "honest" | DnsFailure | "truncate" | "wrongId" | "wrongQuestion" | "garbage" | "noEdns";

export interface DnsServer {
  /** As `createResolver` takes it. */
  readonly address: string;
  /** Changes what a name has; null removes it. */
  set(name: string, entry: DnsEntry | DnsFailure | null): void;
  /** Changes how all queries are answered from now on. */
  behave(manner: DnsManner): void;
  /** Records put into every answer as they are, whatever was asked. */
  inject(records: readonly Answer[]): void;
  /** What was asked, in order, such as `udp MX example.test`. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
const rcodes: Record<Exclude<DnsFailure, "timeout">, number> = { servfail: 2, refused: 5 };
const FORMAT_ERROR = 1;
const NO_NAME = 3;

/** A recursive DNS server on loopback, by UDP and TCP, that answers from an object. */
export async function dnsServer(zone: DnsZone = {}): Promise<DnsServer> {
  const state = new ServerState(zone);
  const { udp, tcp, port } = await bindBoth();
  udp.on("message", (bytes, from) => {
    const response = state.respond(bytes, "udp");
    if (response !== null) udp.send(response, from.port, from.address);
  });
  const connections = new Set<Socket>();
  tcp.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket)).on("error", () => {});
    let received = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const response = state.respond(received.subarray(2, end), "tcp");
        received = received.subarray(end);
        if (response === null) continue;
        socket.write(Buffer.concat([Buffer.of(response.length >> 8, response.length & 0xff), response]));
      }
    });
  });
  return {
    address: `${LOOPBACK}:${port}`,
    set: (name, entry) => state.set(name, entry),
    behave(manner) {
      state.manner = manner;
    },
    inject(records) {
      state.injected = records;
    },
    asked: state.asked,
    async close() {
      for (const socket of connections) socket.destroy();
      const closed = [once(udp, "close"), once(tcp, "close")];
      udp.close();
      tcp.close();
      await Promise.all(closed);
    },
  };
}

/** The port that UDP got may be taken for TCP; then another is tried. */
async function bindBoth(): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let tries = 0; ; tries++) {
    const udp = createSocket("udp4").bind(0, LOOPBACK);
    await once(udp, "listening");
    const { port } = udp.address();
    const tcp = createServer().listen(port, LOOPBACK);
    try {
      await once(tcp, "listening");
      return { udp, tcp, port };
    } catch (error) {
      udp.close();
      if (tries === 5) throw error;
    }
  }
}

class ServerState {
  manner: DnsManner = "honest";
  injected: readonly Answer[] = [];
  readonly asked: string[] = [];
  readonly #names: Map<string, DnsEntry | DnsFailure>;

  constructor(zone: DnsZone) {
    this.#names = zoneEntries(zone);
  }

  set(name: string, entry: DnsEntry | DnsFailure | null): void {
    if (entry === null) this.#names.delete(zoneName(name));
    else this.#names.set(zoneName(name), entry);
  }

  /** The response to a query, or null for silence. */
  respond(bytes: Buffer, transport: "udp" | "tcp"): Buffer | null {
    const query = decode(bytes);
    const [question] = query.questions ?? [];
    if (question === undefined) return null;
    this.asked.push(`${transport} ${question.type} ${question.name}`);
    const wantsEdns = (query.additionals ?? []).some(({ type }) => type === "OPT");
    const response: Packet = { type: "response", id: query.id ?? 0, questions: [question] };
    switch (this.manner) {
      case "honest":
        return this.#honest(response, question);
      case "timeout":
        return null;
      case "servfail":
      case "refused":
        return encode({ ...response, flags: rcodes[this.manner] });
      case "truncate":
        if (transport === "udp") return encode({ ...response, flags: TRUNCATED_RESPONSE });
        return this.#honest(response, question);
      case "wrongId":
        return this.#honest({ ...response, id: ((query.id ?? 0) + 1) & 0xffff }, question);
      case "wrongQuestion":
        return this.#honest({ ...response, questions: [{ ...question, name: "other.test" }] }, question);
      case "garbage":
        return Buffer.from("no message");
      case "noEdns":
        if (wantsEdns) return encode({ ...response, flags: FORMAT_ERROR });
        return this.#honest(response, question);
    }
  }

  #honest(response: Packet, { type, name }: { readonly type: string; readonly name: string }): Buffer | null {
    const resolved = this.#resolve(type, name);
    return resolved === null ? null : encode({ ...response, ...resolved });
  }

  #resolve(type: string, start: string): Packet | null {
    const answers: Answer[] = [...this.injected];
    let secure = true;
    let name = zoneName(start);
    for (;;) {
      const entry = this.#names.get(name);
      if (entry === undefined) return { flags: RECURSION_AVAILABLE | NO_NAME, answers, authorities: [soa(name)] };
      if (typeof entry === "string") return failure(entry);
      secure &&= entry.secure === true;
      const flags = RECURSION_AVAILABLE | (secure ? AUTHENTIC_DATA : 0);
      if (entry.absent === true) return { flags: flags | NO_NAME, answers, authorities: [soa(name)] };
      const ttl = entry.ttl ?? DEFAULT_TTL;
      if (entry.cname !== undefined) {
        const looped = answers.some((answer) => answer.type === "CNAME" && answer.name === name);
        answers.push({ type: "CNAME", name, ttl, data: entry.cname });
        if (looped || type === "CNAME") return { flags, answers };
        name = zoneName(entry.cname);
        continue;
      }
      const records = recordsOf(type, name, ttl, entry);
      if (typeof records === "string") return failure(records);
      if (records.length === 0) return { flags, answers, authorities: [soa(name)] };
      return { flags, answers: [...answers, ...records] };
    }
  }
}

function failure(kind: DnsFailure): Packet | null {
  return kind === "timeout" ? null : { flags: RECURSION_AVAILABLE | rcodes[kind] };
}

function recordsOf(type: string, name: string, ttl: number, entry: DnsEntry): readonly Answer[] | DnsFailure {
  const each = <T>(values: readonly T[] | DnsFailure | undefined, make: (value: T) => Answer) =>
    typeof values === "string" ? values : (values ?? []).map(make);
  switch (type) {
    case "A":
      return each(entry.a, (data) => ({ type: "A", name, ttl, data }));
    case "AAAA":
      return each(entry.aaaa, (data) => ({ type: "AAAA", name, ttl, data }));
    case "PTR":
      return each(entry.ptr, (data) => ({ type: "PTR", name, ttl, data }));
    case "MX":
      return each(entry.mx, (data) => ({ type: "MX", name, ttl, data }));
    case "TXT":
      return each(entry.txt, (text) => ({ type: "TXT", name, ttl, data: text.match(/.{1,255}/gsu) ?? [""] }));
    case "SRV":
      return each(entry.srv, (data) => ({ type: "SRV", name, ttl, data }));
    case "TLSA":
      return each(entry.tlsa, ({ data, ...parameters }) => ({
        type: "TLSA",
        name,
        ttl,
        data: { ...parameters, certificate: Buffer.from(data) },
      }));
    default:
      return [];
  }
}

function soa(name: string): Answer {
  return { type: "SOA", name, ttl: DEFAULT_TTL, data: { mname: "ns.test", rname: "root.test", minimum: 60 } };
}
