import { type AnswerHead, HttpParseError, valuesOf } from "./message-head";

/** How the end of an answer's body is known: there is none, after so many bytes, by chunks, or by the end of the connection. */
export type Framing = { kind: "none" } | { kind: "length"; bytes: number } | { kind: "chunked" } | { kind: "close" };

/**
 * Tells how an answer's body is framed (RFC 9112, section 6.3). Whatever two readers might frame differently is refused.
 * @param method of the request
 * @throws Unreadable
 */
export function framingOf({ status, headers, minor }: AnswerHead & { minor: number }, method: string): Framing {
  const codings = valuesOf(headers, "transfer-encoding");
  const lengths = valuesOf(headers, "content-length").flatMap((value) => value.split(",").map((each) => each.trim()));
  if (codings.length > 0) {
    if (lengths.length > 0) throw new HttpParseError("both Transfer-Encoding and Content-Length");
    if (minor === 0) throw new HttpParseError("Transfer-Encoding in HTTP/1.0");
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked") throw new HttpParseError("a Transfer-Encoding other than chunked");
  }
  const [length] = lengths;
  if (lengths.some((each) => each !== length || !/^\d{1,15}$/.test(each))) throw new HttpParseError("no valid Content-Length");
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return { kind: "none" };
  if (codings.length > 0) return { kind: "chunked" };
  if (length !== undefined) return { kind: "length", bytes: Number(length) };
  return { kind: "close" };
}
