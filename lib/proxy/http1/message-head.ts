/** Names and values in turns, as they came. */
export type RawHeaders = string[];

/** The beginning of an answer. */
export interface AnswerHead {
  status: number;
  reason: string;
  headers: RawHeaders;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

/** What can't be read as HTTP/1.1, or only in a way that another reader might not share. */
export class HttpParseError extends Error {}

/**
 * Reads the head of an answer, strictly where leniency would change what it means.
 * @param text up to and without its empty line
 * @throws Unreadable
 */
export function readHead(text: string): AnswerHead & { minor: number } {
  // RFC 9112, section 5.2: folded lines become one.
  const lines = text.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/);
  const [, minor, status, reason = ""] = STATUS_LINE.exec(lines[0] as string) ?? [];
  if (status === undefined) throw new HttpParseError("no status line");
  return { minor: Number(minor), status: Number(status), reason: reason.replace(NO_VALUE, " "), headers: readFields(lines, 1) };
}

/**
 * Reads header or trailer lines.
 * @param from the first of them
 * @throws Unreadable
 */
export function readFields(lines: string[], from: number): RawHeaders {
  const headers: RawHeaders = [];
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] as string;
    const colon = line.indexOf(":");
    // RFC 9112, section 5.1: blanks before the colon are taken out of an answer.
    const name = line.slice(0, colon).trimEnd();
    if (colon < 1 || !NAME.test(name)) throw new HttpParseError("a header that is none");
    headers.push(
      name,
      line
        .slice(colon + 1)
        .trim()
        .replace(NO_VALUE, " "),
    );
  }
  return headers;
}

/** Fields of one connection, which are not for whoever is behind the next (RFC 9110, section 7.6.1). */
const HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** What `Connection` may name and no more than that: the usual case. */
const USUAL = /^(?:close|keep-alive|upgrade)$/i;

/**
 * Tells which fields are of one connection only.
 * @param headers in which `Connection` may name more of them
 * @returns tells it of a name in lower case
 */
export function hopByHop(headers: RawHeaders): (name: string) => boolean {
  let named: Set<string> | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name.length !== 10 || name.toLowerCase() !== "connection" || USUAL.test(headers[at + 1] as string)) continue;
    named ??= new Set();
    for (const option of (headers[at + 1] as string).split(",")) named.add(option.trim().toLowerCase());
  }
  return (name) => HOP.has(name) || (named?.has(name) ?? false);
}

/** All values of a field. */
export function valuesOf(headers: RawHeaders, wanted: string): string[] {
  const values: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name.length === wanted.length && name.toLowerCase() === wanted) values.push(headers[at + 1] as string);
  }
  return values;
}
