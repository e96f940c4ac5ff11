// TLS of what is served: certificates and keys, and the authorities of peers, read from the files that the configuration names.
import { readFileSync } from "node:fs";
import { err, ok, type Result } from "../base/index.ts";
import { type Config, formatConfigProblem, type KeyPairFiles, type PeerConfig } from "../config/index.ts";
import { type KeyPair, type KnownPeer, readCertificates, ServerTls, type ServerTlsOptions } from "../net/index.ts";

type TlsConfig = Pick<Config, "file" | "tls" | "listeners" | "peers">;
type ListenerTlsConfig = Pick<Config["listeners"][number], "clientCertificates" | "sessionTickets">;

/** The same certificates for everything that is served, with what differs by listener. */
export interface ServingTls {
  /** Without client certificates and session tickets. */
  readonly plain: ServerTls;
  /** Of a listener of the configuration. */
  of(listener: ListenerTlsConfig): ServerTls;
  /** For the pages of `web`: HTTP is spoken inside. */
  readonly pages: ServerTls;
  /**
   * Reads the files that `config` names, and tries them for its listeners. What comes of it puts them into use everywhere; on a problem
   * nothing changes.
   */
  prepare(config: TlsConfig): Result<() => void, readonly string[]>;
}

interface Kind extends ListenerTlsConfig {
  /** As in `ServerTlsOptions`. */
  readonly protocol: "smtp" | "http/1.1";
}

const PLAIN: Kind = { clientCertificates: "none", sessionTickets: false, protocol: "smtp" };
const PAGES: Kind = { ...PLAIN, protocol: "http/1.1" };

/** Null where there are no certificates to have. Every problem of the files is one line. */
export function loadTls(config: TlsConfig): Result<ServingTls | null, readonly string[]> {
  const { tls, listeners } = config;
  if (tls === null) return ok(null);
  const files = readFiles(config, tls);
  if (!files.ok) return files;
  const kinds = new Map<string, ServerTls>();
  for (const wanted of kindsOf(listeners)) {
    const created = ServerTls.create(optionsFor(wanted, files.value));
    if (!created.ok) return err([`${certificateNames(tls)}: ${created.error}`]);
    kinds.set(kindOf(wanted), created.value);
  }
  const find = (wanted: Kind): ServerTls => {
    const found = kinds.get(kindOf(wanted));
    if (found === undefined) throw new Error("a listener that is not in the configuration has no TLS");
    return found;
  };
  return ok({
    plain: find(PLAIN),
    of: (listener) => find({ ...PLAIN, ...listener }),
    pages: find(PAGES),
    prepare(next) {
      if (next.tls === null) return ok(() => {});
      const renewed = readFiles(next, next.tls);
      if (!renewed.ok) return renewed;
      const all = kindsOf(next.listeners).map((wanted) => ({ wanted, options: optionsFor(wanted, renewed.value) }));
      const created = new Map<string, ServerTls>();
      // All of them are tried before the first is put into use, so that no two listeners show what does not belong together.
      for (const { wanted, options } of all) {
        const tried = ServerTls.create(options);
        if (!tried.ok) return err([`${certificateNames(next.tls)}: ${tried.error}`]);
        created.set(kindOf(wanted), tried.value);
      }
      return ok(() => {
        // In place, where there is one already: sessions that are open show the new ones as well when they begin with TLS.
        for (const { wanted, options } of all) kinds.get(kindOf(wanted))?.replace(options);
        for (const [kind, made] of created) if (!kinds.has(kind)) kinds.set(kind, made);
      });
    },
  });
}

/** What would make the authorities of peers useless though they can be read; each problem is one line. */
export function checkAuthorities({ file, peers }: Pick<Config, "file" | "peers">): readonly string[] {
  return peers.flatMap(({ name, ca }) => {
    const found = ca === null ? null : readAuthorities(ca.file);
    if (ca === null || found === null || !found.ok) return []; // What cannot be read is told by `loadTls`.
    return found.value.flatMap((certificate) => {
      const subject = certificate.subject.split("\n").join(", ");
      if (!certificate.ca) {
        const remedy = `name the authority that signs for ${name}, or know it by its key (spki)`;
        return [problemOf(file, ca, `${ca.file}: ${subject} is no authority`, remedy)];
      }
      if (certificate.validToDate.getTime() > Date.now()) return [];
      return [problemOf(file, ca, `${ca.file}: ${subject} expired`, "put a new one in its place, or remove it")];
    });
  });
}

interface TlsFiles {
  readonly keyPairs: readonly KeyPair[];
  readonly peers: readonly KnownPeer[];
}

/** Of all that is served, each once. */
function kindsOf(listeners: TlsConfig["listeners"]): readonly Kind[] {
  const all = [PLAIN, PAGES, ...listeners.map((listener) => ({ ...PLAIN, ...listener }))];
  return [...new Map(all.map((kind) => [kindOf(kind), kind])).values()];
}

/** What listeners with equal settings share. */
function kindOf({ clientCertificates, sessionTickets, protocol }: Kind): string {
  return `${protocol} ${clientCertificates !== "none"} ${sessionTickets}`;
}

function optionsFor({ clientCertificates, sessionTickets, protocol }: Kind, files: TlsFiles): ServerTlsOptions {
  return {
    keyPairs: files.keyPairs,
    protocol,
    sessionTickets,
    clientCertificates: clientCertificates === "none" ? "none" : "request",
    peers: files.peers,
  };
}

function readFiles(config: TlsConfig, tls: NonNullable<Config["tls"]>): Result<TlsFiles, readonly string[]> {
  const problems: string[] = [];
  const read = (key: string, file: string): string => {
    const text = readText(file);
    if (!text.ok) {
      problems.push(`[tls] ${key}: ${file} ${text.error}; name a file in PEM that this user may read`);
      return "";
    }
    return text.value;
  };
  const keyPairs = tls.keyPairs.map(({ certificate, privateKey }) => ({
    certificate: read("certificate", certificate),
    privateKey: read("private_key", privateKey),
  }));
  const peers = config.peers.map(({ name, spki, ca, names }) => {
    if (ca === null) return { name, spki };
    const authorities = readAuthorities(ca.file);
    if (authorities.ok) return { name, names, authorities: authorities.value.map((one) => one.toString()) };
    problems.push(
      problemOf(config.file, ca, `${ca.file}: ${authorities.error}`, "name a file in PEM that this user may read"),
    );
    return { name };
  });
  return problems.length === 0 ? ok({ keyPairs, peers }) : err(problems);
}

function readAuthorities(file: string): ReturnType<typeof readCertificates> {
  const text = readText(file);
  return text.ok ? readCertificates(text.value) : text;
}

function readText(file: string): Result<string, string> {
  try {
    return ok(readFileSync(file, "utf8"));
  } catch (cause) {
    return err(`cannot be read (${cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)})`);
  }
}

function problemOf(file: string, { line }: NonNullable<PeerConfig["ca"]>, problem: string, remedy: string): string {
  return formatConfigProblem({ file, line, key: "peer.ca", problem, remedy });
}

/** For problems: the files of all certificates. */
function certificateNames({ keyPairs }: { readonly keyPairs: readonly KeyPairFiles[] }): string {
  return keyPairs.map(({ certificate }) => certificate).join(", ");
}
