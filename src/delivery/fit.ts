import { type Downgrade, Downgrader, MessageSurvey, type Survey } from "../message/index.ts";
import type { Body } from "../queue/index.ts";
import type { Extensions, MailParameters, ReversePath } from "../smtp/index.ts";

/** What is done with 8-bit mail for a server that takes 7-bit mail only: `convert` breaks DKIM signatures over the body. */
export type EightBit = "bounce" | "convert";

/** What of a message depends on the next hop. */
export interface Fitted {
  readonly parameters: MailParameters;
  readonly body: Body | { readonly size: null; chunks(): AsyncIterable<Uint8Array> };
}

/** A message that declares nothing that a server of these extensions does not offer goes as it is, and is not read. */
export function fits(parameters: MailParameters, extensions: Extensions): boolean {
  return !lacksUtf8(parameters, extensions) && !lacksContent(parameters.body, extensions);
}

/**
 * Makes a message fit for a server with these extensions, as far as that may be: drops a declaration that the message does not
 * need after all (RFC 6531 §3.4: SHOULD NOT; RFC 6152 §3), and converts it where `eightBit` says so. A report is always converted: there
 * is nobody whom it could be returned to, and a sender would never hear of the failure that it tells of. What is still too much
 * afterwards the client refuses. Ask `fits` first: this reads the message.
 */
export async function fitMessage(
  message: { readonly reversePath: ReversePath; readonly parameters: MailParameters; readonly body: Body },
  extensions: Extensions,
  eightBit: EightBit,
): Promise<Fitted> {
  const { parameters, body } = message;
  const utf8 = lacksUtf8(parameters, extensions);
  const content = lacksContent(parameters.body, extensions);
  const survey = await surveyed(body);
  const { smtputf8, body: declared, ...others } = parameters;
  const kept = utf8 && !survey.eightBitHeader ? others : { ...others, ...(smtputf8 && { smtputf8 }) };
  if (!content || declared === undefined) return { parameters: { ...kept, ...(declared && { body: declared }) }, body };
  const really = DECLARED[survey.content];
  if (!lacksContent(really, extensions)) return { parameters: { ...kept, ...(really && { body: really }) }, body };
  const { downgrade } = survey;
  const left = eightBit === "bounce" && message.reversePath !== null;
  if (left || !downgrade.ok) return { parameters: { ...kept, body: declared }, body };
  return { parameters: kept, body: { size: null, chunks: () => downgraded(body, downgrade.value) } };
}

const DECLARED: Record<Survey["content"], MailParameters["body"]> = {
  "7bit": undefined,
  "8bit": "8BITMIME",
  binary: "BINARYMIME",
};

function lacksUtf8({ smtputf8 }: MailParameters, extensions: Extensions): boolean {
  return smtputf8 === true && !extensions.has("SMTPUTF8");
}

function lacksContent(body: MailParameters["body"], extensions: Extensions): boolean {
  if (body === "8BITMIME") return !extensions.has("8BITMIME");
  return body === "BINARYMIME" && !(extensions.has("BINARYMIME") && extensions.has("CHUNKING"));
}

async function surveyed(body: Body): Promise<Survey> {
  const survey = new MessageSurvey();
  for await (const chunk of body.chunks()) survey.push(chunk);
  return survey.finish();
}

async function* downgraded(body: Body, downgrade: Downgrade): AsyncGenerator<Uint8Array> {
  const downgrader = new Downgrader(downgrade);
  for await (const chunk of body.chunks()) yield* downgrader.push(chunk);
  yield* downgrader.end();
}
