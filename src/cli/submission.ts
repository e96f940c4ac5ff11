import { hostname } from "node:os";
import { err, ok, printable, type Result } from "../base/index.ts";
import {
  type ClientAuth,
  type ClientOptions,
  createClient,
  type RecipientResult,
  type SendProblem,
} from "../client/index.ts";

/** One message to be sent, as the command line gives it. */
export interface Submission {
  readonly host: string;
  readonly port: number;
  readonly tls: "starttls" | "implicit" | "none";
  /** Whom to believe: any certificate, or one valid for the host's name by `ca` (PEM; null: the system's). */
  readonly trust: { readonly kind: "any" } | { readonly kind: "name"; readonly ca: string | null };
  readonly auth: ClientAuth | null;
  /** Shown to a server that asks for one, PEM. */
  readonly clientCertificate?: { readonly certificate: string; readonly privateKey: string };
  /** Null: this machine's name. */
  readonly hello: string | null;
  /** A mailbox; `<>` or nothing for the null reverse-path. */
  readonly from: string;
  readonly to: readonly string[];
  /** Line ends LF or CRLF. */
  readonly message: Uint8Array;
}

export interface Submitted {
  /** Version and cipher, null in clear text. */
  readonly tls: string | null;
  /** In the order of the recipients. */
  readonly results: readonly { readonly address: string; readonly accepted: boolean; readonly text: string }[];
}

/** Sends it over one new connection. The failure, where nothing could be sent, is one plain line without the server's name. */
export async function submit(submission: Submission): Promise<Result<Submitted, string>> {
  const client = createClient(clientOptions(submission));
  const { from, to, message } = submission;
  const sent = await client.send({ from: from === "<>" || from === "" ? null : from, to, message });
  await client.close();
  if (!sent.ok) return err(problemText(sent.error));
  const { tls, recipients } = sent.value;
  return ok({
    tls: tls === null ? null : `${tls.version} ${tls.cipher}${tls.group === null ? "" : ` ${tls.group}`}`,
    results: recipients.map(({ address, result }) => ({
      address,
      accepted: result.kind === "accepted",
      text: resultText(result),
    })),
  });
}

function clientOptions({ host, port, tls, trust, auth, clientCertificate, hello }: Submission): ClientOptions {
  return {
    host,
    port,
    tls,
    hello: hello ?? hostname(),
    maxConnections: 1,
    ...(tls === "none" ? {} : trust.kind === "any" ? { verify: "nothing" } : { verify: "name" }),
    ...(trust.kind === "name" && trust.ca !== null ? { ca: [trust.ca] } : {}),
    ...(auth === null ? {} : { auth }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  };
}

function resultText(result: RecipientResult): string {
  if (result.kind === "accepted") return `accepted: ${replyText(result.reply)}`;
  if (result.kind === "refused") return `refused: ${replyText(result.reply)}`;
  return `${result.uncertain ? "uncertain, it may have been taken" : "not sent"}: ${problemText(result.problem)}`;
}

type Reply = Extract<RecipientResult, { readonly kind: "accepted" }>["reply"];

function replyText({ code, status, lines }: Reply): string {
  const enhanced = status === null ? [] : [`${status.class}.${status.subject}.${status.detail}`];
  return printable([String(code), ...enhanced, lines.join(" / ")].join(" ").trimEnd());
}

function problemText(problem: SendProblem): string {
  switch (problem.kind) {
    case "badAddress":
      return `${problem.address} is not an address such as alice@example.org`;
    case "noRecipients":
      return "there is no recipient; name some with --to";
    case "network":
      return networkText(problem);
    case "refused":
      return `the server refused at ${problem.stage}: ${replyText(problem.reply)}`;
    case "protocol":
      return `what the server sent is not SMTP (${problem.stage}: ${problem.detail})`;
    case "timeout":
      return `the server did not answer in time (${problem.stage})`;
    case "closed":
      return `the server closed the connection (${problem.stage})`;
    case "tlsNotOffered":
      return "the server does not offer STARTTLS, so nothing was sent; --tls none sends in clear text";
    case "authNotOffered":
      return `no way to log in that both sides know (it offers: ${problem.offered.join(", ") || "none"})`;
  }
}

function networkText({ stage, problem }: Extract<SendProblem, { readonly kind: "network" }>): string {
  if (problem.kind === "refused") return "nothing listens there";
  if (problem.kind === "certificate") {
    return `its certificate does not prove the server's name (${problem.detail}); name its CA with --ca FILE, or test with --insecure`;
  }
  return `${problem.detail} (${stage})`;
}
