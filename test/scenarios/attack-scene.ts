import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { type Admin, type MessageDetail, openAdmin } from "../../src/admin/index.ts";
import { unwrap } from "../../src/base/index.ts";
import { loadConfig } from "../../src/config/index.ts";
import {
  type DnsEntry,
  type DnsServer,
  dnsServer,
  type KeyPair,
  makeAuthority,
  makeCertificate,
} from "../../src/testing/index.ts";
import { formatStsRecord } from "../../src/trust/index.ts";
import { freePorts, type Node, startNode } from "../node.ts";
import type { Overheard } from "./interposer.ts";
import { Talk } from "./talk.ts";

const PATIENCE = 30_000;
const DAY = 86_400_000;

/** Signs what the sender trusts: by `[delivery] ca`, hosts and policy hosts alike. */
export const authority = makeAuthority({ name: "trusted" });

/** Certificates that a man in the middle may have, each for the names of the hosts that he plays. */
export function impostors(names: readonly string[]) {
  return {
    otherName: makeCertificate({ names: ["mx.attacker.test"], issuer: authority }),
    expired: makeCertificate({ names, issuer: authority, notBefore: new Date(Date.now() - 9 * DAY), days: 1 }),
    selfSigned: makeCertificate({ names }),
    otherChain: makeCertificate({ names, issuer: makeAuthority({ name: "not trusted" }) }),
  };
}

export interface SceneOptions {
  /** Recipient domains; the exchanger of each is `mx.` and its name, and the host behind has a certificate for all. */
  readonly domains: readonly string[];
  /** TOML of the sender: routes, and keys of `[delivery]` first. */
  readonly delivery: string;
  readonly routes: (port: number) => string;
}

/** A message as it is offered: `NAME@DOMAIN`, sent by NAME@here.test. */
export interface Letter {
  readonly name: string;
  readonly domain: string;
  readonly requireTls?: boolean;
}

/** What TLS reports will tell of one domain. */
export interface Told {
  readonly policy: string;
  readonly type: string;
  readonly host: string | null;
}

/**
 * A sender under attack, a receiver behind the attackers, DNS and a policy host: two daemons as an operator runs them, on loopback. Nothing in
 * DNS is kept, so that what an attacker changes counts at once.
 */
export class Scene implements AsyncDisposable {
  readonly dns: DnsServer;
  readonly sender: Node;
  readonly receiver: Node;
  /** The certificate of the receiver. */
  readonly pair: KeyPair;
  /** Where exchangers are connected to. */
  readonly port: number;
  /** Where policies are fetched. */
  readonly webPort: number;
  readonly #admin: Admin;
  readonly #receiverAdmin: Admin;

  private constructor(
    parts: Pick<Scene, "dns" | "sender" | "receiver" | "pair" | "port" | "webPort">,
    admins: { readonly sender: Admin; readonly receiver: Admin },
  ) {
    this.dns = parts.dns;
    this.sender = parts.sender;
    this.receiver = parts.receiver;
    this.pair = parts.pair;
    this.port = parts.port;
    this.webPort = parts.webPort;
    this.#admin = admins.sender;
    this.#receiverAdmin = admins.receiver;
  }

  static async start({ domains, delivery, routes }: SceneOptions): Promise<Scene> {
    await using started = new AsyncDisposableStack();
    const [port = 0, webPort = 0] = await freePorts(2);
    const pair = makeCertificate({ names: domains.map((domain) => `mx.${domain}`), issuer: authority });
    const dns = await dnsServer();
    started.defer(() => dns.close());
    const receiver = started.use(
      await startNode({
        hostname: "receiver.test",
        domains,
        files: { "cert.pem": pair.certificate, "key.pem": pair.privateKey },
        config: "[limits]\nconnections_per_address = 1000\n",
      }),
    );
    const sender = started.use(
      await startNode({
        hostname: "sender.test",
        domains: ["here.test"],
        files: { "ca.pem": authority.certificate },
        config: [
          '[relay]\nnetworks = ["127.0.0.0/8"]',
          `[delivery]\nport = ${port}\nca = ["ca.pem"]\n${delivery}`,
          `[dns]\nservers = ["${dns.address}"]\ntrust_ad = true`,
          `[mta_sts]\nfetch_port = ${webPort}\nfetch_networks = ["127.0.0.0/8"]`,
          '[timeouts]\nhandshake = "3s"',
          '[queue]\nretry_first = "1h"',
          routes(port),
        ].join("\n"),
      }),
    );
    const admin = async (node: Node): Promise<Admin> => unwrap(await openAdmin(unwrap(loadConfig(node.config))));
    const admins = { sender: await admin(sender), receiver: await admin(receiver) };
    const scene = new Scene({ dns, sender, receiver, pair, port, webPort }, admins);
    started.move();
    return scene;
  }

  /** Offers them all to the sender, over TLS, for without it REQUIRETLS cannot be asked for. */
  async submit(letters: readonly Letter[]): Promise<void> {
    const talk = await Talk.open(this.sender.ports.mx);
    await talk.say("EHLO client.test");
    await talk.secure();
    await talk.say("EHLO client.test");
    for (const { name, domain, requireTls } of letters) {
      const asked = requireTls === true ? " REQUIRETLS" : "";
      for (const line of [`MAIL FROM:<${name}@here.test>${asked}`, `RCPT TO:<${name}@${domain}>`, "DATA"]) {
        const reply = await talk.say(line);
        if (!/^[23]/.test(reply ?? "")) throw new Error(`${line}: ${reply}`);
      }
      talk.send(`Subject: ${SECRET} ${name}\r\n\r\n${SECRET}\r\n.\r\n`);
      const reply = await talk.reply();
      if (reply?.startsWith("250") !== true) throw new Error(`${name}: ${reply}`);
    }
    talk.close();
  }

  /** As `postern queue show ID --json` tells it; null where the sender has none for that recipient. */
  async queued({ name, domain }: Letter): Promise<MessageDetail | null> {
    const [found] = await this.#admin.list({ limit: 1, address: `${name}@${domain}` });
    return found === undefined ? null : await this.#admin.show(found.id);
  }

  /** What `postern queue show ID --json` prints. */
  async printed(id: string): Promise<unknown> {
    const shown = await this.sender.command("queue", "show", id, "--json");
    if (shown.code !== 0) throw new Error(shown.stderr);
    return JSON.parse(shown.stdout);
  }

  /** Waits until each was tried: it waits for another attempt, has come back, or has arrived. */
  async tried(letters: readonly Letter[]): Promise<void> {
    const names = new Set(letters.map(({ name, domain }) => `${name}@${domain}`));
    await this.#until(async () => {
      const messages = await this.#admin.list({ limit: 1000 });
      const untried = messages
        .flatMap(({ recipients }) => recipients)
        .filter(({ address, state, last }) => names.has(address) && (state !== "waiting" || last === null));
      return untried.map(({ address }) => address);
    });
    await this.#received();
  }

  /** Makes all that waits due until nothing does; again and again, for a failed lookup is remembered for a second. */
  async retried(): Promise<void> {
    let looks = 0;
    await this.#until(async () => {
      if (looks++ % 10 === 0) await this.#admin.act("retry", { all: true });
      const messages = await this.#admin.list({ limit: 1000 });
      return messages.map(({ recipients }) => JSON.stringify(recipients));
    });
    await this.#received();
  }

  /** Waits until all that the receiver took is in its Maildirs. */
  async #received(): Promise<void> {
    await this.#until(async () => (await this.#receiverAdmin.list({ limit: 1000 })).map(({ id }) => id));
  }

  async arrived({ name }: Letter): Promise<boolean> {
    return (await this.receiver.mail(name)).length > 0;
  }

  /** The report that its sender got. */
  async returned({ name }: Letter): Promise<string | null> {
    return (await this.sender.mail(name))[0] ?? null;
  }

  /** Log events about a host, a recipient or a domain. */
  logged(event: string, about: string): readonly Readonly<Record<string, unknown>>[] {
    return this.sender.log.filter(
      (line) => line.event === event && [line.host, line.recipient, line.domain].includes(about),
    );
  }

  /** Stops the sender, so that all is written out, and reads what `postern tls-report show` tells, by domain. */
  async results(): Promise<ReadonlyMap<string, readonly Told[]>> {
    await this.#admin.close();
    await this.sender.kill("SIGTERM");
    const shown = await this.sender.command("tls-report", "show", "--json");
    if (shown.code !== 0) throw new Error(shown.stderr);
    const days: unknown = JSON.parse(shown.stdout);
    return new Map(list(days).map((day) => [String(day.domain), list(day.results).map(toldOf)]));
  }

  /** Announces an MTA-STS policy of a domain in DNS. */
  announce(domain: string, id: string, policyHost = "127.0.0.1"): void {
    this.dns.set(`_mta-sts.${domain}`, { txt: [formatStsRecord(id)], ttl: 0 });
    this.dns.set(`mta-sts.${domain}`, { a: [policyHost], ttl: 0 });
  }

  /** What DNS has of a domain and its exchanger at `address`. */
  exchanger(domain: string, address: string, { secure }: { readonly secure: boolean }): void {
    const host = `mx.${domain}`;
    this.dns.set(domain, { mx: [{ preference: 10, exchange: host }], secure, ttl: 0 });
    this.dns.set(host, { a: [address], secure, ttl: 0 });
  }

  /** The TLSA record of a key at the exchanger of a domain. */
  tlsa(domain: string, entry: KeyPair | "servfail", { secure }: { readonly secure: boolean }): void {
    const tlsa: DnsEntry["tlsa"] = entry === "servfail" ? entry : [tlsaOf(entry)];
    this.dns.set(`_${this.port}._tcp.mx.${domain}`, { tlsa, secure, ttl: 0 });
  }

  async #until(pending: () => Promise<readonly string[]>): Promise<void> {
    for (const until = Date.now() + PATIENCE; ; ) {
      const left = await pending();
      if (left.length === 0) return;
      if (Date.now() > until) {
        const errors = this.sender.log.filter(({ level }) => level === "error").map((line) => JSON.stringify(line));
        throw new Error(`still not done: ${left.join("\n")}\n${errors.slice(-3).join("\n")}`);
      }
      await sleep(100);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.close();
    await this.#receiverAdmin.close();
    await this.sender[Symbol.asyncDispose]();
    await this.receiver[Symbol.asyncDispose]();
    await this.dns.close();
  }
}

/** Stands in the header section and the body of each letter. */
export const SECRET = "for-your-eyes-only";

/** Whether nothing but EHLO, STARTTLS and QUIT was said in clear, and what followed was TLS and told him nothing. */
export function keptSilence({ clear, sealed, opened }: Overheard): boolean {
  const said = /^(?:EHLO sender\.test\r\n|STARTTLS\r\n|QUIT\r\n)*$/.test(clear);
  // RFC 8446 §5.1: the first record is of the type 22, handshake.
  return said && (sealed === "" || sealed.startsWith("\x16\x03")) && !sealed.includes(SECRET) && opened === "";
}

/** What a policy host says to one name; null: it hangs up. */
export type PolicyAnswer = (
  host: string,
) => { readonly status: number; readonly location?: string; readonly body: string } | null;

export interface PolicyHost extends AsyncDisposable {
  /** `HOST PATH` of each request. */
  readonly asked: readonly string[];
}

/** A policy host on an address of this machine; without a certificate it speaks HTTP. */
export async function startPolicyHost(
  address: string,
  port: number,
  pair: KeyPair | null,
  answer: PolicyAnswer,
): Promise<PolicyHost> {
  const asked: string[] = [];
  const listener: RequestListener = (request, response) => {
    const host = (request.headers.host ?? "").replace(/:\d+$/, "");
    asked.push(`${host} ${request.url}`);
    const said = answer(host);
    if (said === null) {
      request.socket.destroy();
      return;
    }
    const location = said.location === undefined ? {} : { location: said.location };
    response.writeHead(said.status, { "content-type": "text/plain", ...location }).end(said.body);
  };
  const server =
    pair === null ? createHttp(listener) : createHttps({ cert: pair.certificate, key: pair.privateKey }, listener);
  server.listen(port, address);
  await once(server, "listening");
  return {
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** An MTA-STS policy that names the exchanger of `domain` (RFC 8461 §3.2). */
export function policyText(mode: "enforce" | "testing" | "none", domain: string): string {
  return `version: STSv1\nmode: ${mode}\nmx: mx.${domain}\nmax_age: 86400\n`;
}

function tlsaOf({ certificate }: KeyPair) {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  const data = Uint8Array.from(createHash("sha256").update(key).digest());
  return { usage: 3, selector: 1, matchingType: 1, data };
}

function list(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value)) throw new Error("no list");
  return value.map((item) => ({ ...item }));
}

function toldOf({ policy, type, host }: Readonly<Record<string, unknown>>): Told {
  return {
    policy: String(Reflect.get(Object(policy), "type")),
    type: String(type),
    host: typeof host === "string" ? host : null,
  };
}
