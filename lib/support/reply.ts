import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { AppError, type ErrorCode, isErrorCode } from "../errors";

export type ReplyBody = object | string | Buffer | AsyncIterable<Buffer>;

/** A response: a handler returns one when it is not simply an object with status 200. */
export class Reply {
  constructor(
    readonly status: number,
    /** objects are sent as JSON, strings as text/plain unless a header says otherwise, async iterables are streamed */
    readonly body: ReplyBody | null,
    readonly headers: Record<string, string> = {},
  ) {}
}

/** Whether a reply is sent as JSON, as objects are without another type. */
export function isJson({ headers }: Reply): boolean {
  const type = headers["content-type"] ?? headers["Content-Type"];
  return type === undefined || type.startsWith("application/json");
}

/** Reduces a text to what a header can carry: one line of ASCII, at most 500 characters. */
export function toHeaderText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 500);
}

/** A streamed response that proxies neither buffer nor cache. */
export function streamReply(contentType: string, body: AsyncIterable<Buffer>): Reply {
  return new Reply(200, body, { "Content-Type": `${contentType}; charset=utf-8`, "X-Accel-Buffering": "no", "Cache-Control": "no-cache" });
}

/** A client's offer to upgrade its connection (RFC 9110, section 7.8): the connection, and the bytes that came after the head. */
export interface UpgradeOffer {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}

declare module "http" {
  interface IncomingMessage {
    /** Set by the server on a request whose offer of an upgrade a route or the proxy may accept. */
    upgradeOffer?: UpgradeOffer;
  }
}

/** Accepts an offered upgrade: `takeOver` gets the connection and writes the 101 itself. */
export class UpgradeReply extends Reply {
  constructor(readonly takeOver: (offer: UpgradeOffer) => void) {
    super(101, null);
  }
}

/** The error code of a failed outcome; undefined for a success, or a code that this version doesn't know. */
export function errorCodeOf(outcome: Reply | AppError): ErrorCode | undefined {
  if (outcome instanceof AppError) return outcome.code;
  const code = outcome.headers["x-error-code"];
  return code !== undefined && isErrorCode(code) ? code : undefined;
}
