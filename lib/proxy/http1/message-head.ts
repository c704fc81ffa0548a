import { HOP_BY_HOP_HEADERS } from "../../support/hop-by-hop";

/** Header names and values in alternation, in the order and spelling in which they came. */
export type RawHeaders = string[];

/** Status line and headers of a response. */
export interface ResponseHead {
  status: number;
  reason: string;
  headers: RawHeaders;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const INVALID_VALUE_CHARACTERS = /[^\t\x20-\x7e\x80-\xff]/g;

/** Bytes that are not HTTP/1.1, or that two parsers might read differently. Its message is a part of UPSTREAM_FAILED. */
export class HttpParseError extends Error {}

/**
 * Parses the head of a response; strict wherever leniency could change the meaning.
 * @param text the head without its final empty line, as latin1
 * @throws HttpParseError
 */
export function parseResponseHead(text: string): ResponseHead & { minor: number } {
  // RFC 9112, section 5.2: a folded field line is joined with a space.
  const lines = text.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/);
  const [, minor, status, reason = ""] = STATUS_LINE.exec(lines[0] as string) ?? [];
  if (status === undefined) throw new HttpParseError("no status line");
  return {
    minor: Number(minor),
    status: Number(status),
    reason: reason.replace(INVALID_VALUE_CHARACTERS, " "),
    headers: parseFieldLines(lines, 1),
  };
}

/**
 * Parses header or trailer lines.
 * @param start index of the first field line
 * @throws HttpParseError
 */
export function parseFieldLines(lines: string[], start: number): RawHeaders {
  const headers: RawHeaders = [];
  for (const line of lines.slice(start)) {
    const colon = line.indexOf(":");
    // RFC 9112, section 5.1: a proxy removes whitespace before the colon of a response.
    const name = line.slice(0, colon).trimEnd();
    if (colon < 1 || !FIELD_NAME.test(name)) throw new HttpParseError("a header that is none");
    headers.push(
      name,
      line
        .slice(colon + 1)
        .trim()
        .replace(INVALID_VALUE_CHARACTERS, " "),
    );
  }
  return headers;
}

/** Formats a message head with its final empty line, for writing as latin1. */
export function formatHead(firstLine: string, headers: RawHeaders): string {
  return `${firstLine}\r\n${formatFieldLines(headers)}\r\n`;
}

/** Formats headers or trailers as lines, each with its line end. */
export function formatFieldLines(headers: RawHeaders): string {
  let text = "";
  for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return text;
}

const HOP_BY_HOP = new Set<string>([...HOP_BY_HOP_HEADERS, "proxy-authentication-info", "http2-settings"]);

/** A `Connection` header with nothing but one standard option, the usual case: it names no further header. */
const STANDARD_CONNECTION_OPTION = /^(?:close|keep-alive|upgrade)$/i;

/**
 * Finds the hop-by-hop headers of a message: the standard ones, and those that its `Connection` header names.
 * @returns tells whether a name in lower case is one of them
 */
export function hopByHopMatcher(headers: RawHeaders): (name: string) => boolean {
  let connectionOptions: Set<string> | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    if (name.length !== 10 || name.toLowerCase() !== "connection" || STANDARD_CONNECTION_OPTION.test(value)) continue;
    connectionOptions ??= new Set();
    for (const option of value.split(",")) connectionOptions.add(option.trim().toLowerCase());
  }
  return (name) => HOP_BY_HOP.has(name) || (connectionOptions?.has(name) ?? false);
}

/**
 * All values of a header, in their order.
 * @param wantedName in lower case
 */
export function headerValues(headers: RawHeaders, wantedName: string): string[] {
  const values: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name.length === wantedName.length && name.toLowerCase() === wantedName) values.push(headers[index + 1] as string);
  }
  return values;
}
