/**
 * The fields of an X.509 certificate (RFC 5280 §4.1) that Node does not show: the key as its own octets, and the extensions that bound
 * what an authority may certify. OpenSSL has read the certificate before; what is unclear here is still refused, by null.
 */
export interface CertificateFields {
  /** The object identifier of the signature's algorithm, its content octets in hex. */
  readonly signatureAlgorithm: string;
  /** The SubjectPublicKeyInfo, whole. */
  readonly publicKeyInfo: Uint8Array;
  readonly extensions: readonly CertificateExtension[];
}

export interface CertificateExtension {
  /** The object identifier, its content octets in hex. */
  readonly id: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** One element of DER: its tag, its content, and all of it. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

const BOOLEAN = 0x01;
const OBJECT_ID = 0x06;
const OCTET_STRING = 0x04;
const SEQUENCE = 0x30;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;

/** Serial number, signature, issuer, validity and subject stand before the key (RFC 5280 §4.1). */
const FIELDS_BEFORE_KEY = 5;

/** Null for what is no certificate in DER. */
export function certificateFields(der: Uint8Array): CertificateFields | null {
  const [certificate, ...rest] = derElements(der) ?? [];
  if (certificate === undefined || rest.length > 0) return null;
  const [body, algorithm] = childrenOf(certificate, SEQUENCE);
  const signatureAlgorithm = algorithm && childrenOf(algorithm, SEQUENCE)[0];
  if (body === undefined || signatureAlgorithm?.tag !== OBJECT_ID) return null;
  const fields = childrenOf(body, SEQUENCE);
  const key = fields[FIELDS_BEFORE_KEY + (fields[0]?.tag === VERSION ? 1 : 0)];
  if (key?.tag !== SEQUENCE) return null;
  const wrapped = fields.find(({ tag }) => tag === EXTENSIONS);
  const extensions = wrapped === undefined ? [] : readExtensions(wrapped);
  if (extensions === null) return null;
  return { signatureAlgorithm: hex(signatureAlgorithm.content), publicKeyInfo: key.whole, extensions };
}

/** The elements that `bytes` is made of, or null where it is not made of such alone. */
export function derElements(bytes: Uint8Array): readonly DerElement[] | null {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = elementAt(bytes, at);
    if (element === null) return null;
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

/** The elements within one of the tag that is expected; none for another, or for content that is not made of elements. */
export function childrenOf(element: DerElement, tag: number): readonly DerElement[] {
  return element.tag === tag ? (derElements(element.content) ?? []) : [];
}

const SHORT_LENGTH_LIMIT = 0x80;
/** A certificate in a handshake is shorter than 2^24 octets. */
const MOST_LENGTH_OCTETS = 3;
/** Tags of more than one octet do not occur in certificates. */
const LONG_TAG = 0x1f;

function elementAt(bytes: Uint8Array, start: number): DerElement | null {
  const tag = bytes[start];
  let length = bytes[start + 1];
  if (tag === undefined || length === undefined || (tag & LONG_TAG) === LONG_TAG) return null;
  let at = start + 2;
  if (length >= SHORT_LENGTH_LIMIT) {
    const octets = length - SHORT_LENGTH_LIMIT;
    if (octets === 0 || octets > MOST_LENGTH_OCTETS || at + octets > bytes.length) return null;
    length = bytes.subarray(at, at + octets).reduce((sum, octet) => sum * 256 + octet, 0);
    at += octets;
  }
  const end = at + length;
  if (end > bytes.length) return null;
  return { tag, content: bytes.subarray(at, end), whole: bytes.subarray(start, end) };
}

function readExtensions(wrapped: DerElement): readonly CertificateExtension[] | null {
  const [list] = childrenOf(wrapped, EXTENSIONS);
  if (list === undefined) return null;
  const extensions: CertificateExtension[] = [];
  for (const entry of childrenOf(list, SEQUENCE)) {
    const parts = childrenOf(entry, SEQUENCE);
    const [id] = parts;
    const value = parts.at(-1);
    if (id?.tag !== OBJECT_ID || value?.tag !== OCTET_STRING) return null;
    const critical = parts.length === 3 && parts[1]?.tag === BOOLEAN && parts[1].content[0] !== 0;
    extensions.push({ id: hex(id.content), critical, value: value.content });
  }
  return extensions;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
