import type { ServerResponse } from "node:http";
import { type Reply, type ReplyBody, UpgradeReply } from "../support/reply";
import { takingTurns } from "../support/taking-turns";
import { hasLongText, jsonPieces } from "./json-pieces";

/**
 * A client that reads nothing for this time while bytes wait for it is disconnected. Linux tells that it reads only when a third of the
 * send buffer is free again, which can be more than a megabyte: at 20 kB/s after 80 s.
 */
const STALL_TIMEOUT_MS = 300_000;
/** A body up to this size fits the kernel's buffer; only larger ones can stall. */
const BUFFERED_BYTES = 65_536;
const JSON_TYPE = "application/json; charset=utf-8";

/**
 * Sends a reply.
 * @param clientSignal aborted when the client disconnects; asked for only if the reply streams
 */
export async function sendReply(response: ServerResponse, reply: Reply, clientSignal: () => AbortSignal): Promise<void> {
  const { status, body, headers } = reply;
  response.statusCode = status;
  if (reply instanceof UpgradeReply) {
    const { upgradeOffer } = response.req;
    if (!upgradeOffer) throw new Error("The client has offered no upgrade");
    return reply.takeOver(upgradeOffer);
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body === null) return void response.end();
  if (isStream(body)) return stream(response, body, clientSignal());
  if (typeof body === "object" && !Buffer.isBuffer(body) && hasLongText(body)) {
    if (!response.hasHeader("Content-Type")) response.setHeader("Content-Type", JSON_TYPE);
    return stream(response, takingTurns(encoded(jsonPieces(body))), clientSignal());
  }
  const bytes = toBytes(response, body);
  response.setHeader("Content-Length", bytes.length);
  if (bytes.length > BUFFERED_BYTES) response.setTimeout(STALL_TIMEOUT_MS, () => response.destroy());
  response.end(bytes);
}

function isStream(body: ReplyBody): body is AsyncIterable<Buffer> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

function toBytes(response: ServerResponse, body: object | string): Buffer {
  const isText = typeof body === "string";
  if (!response.hasHeader("Content-Type")) {
    response.setHeader("Content-Type", isText ? "text/plain; charset=utf-8" : JSON_TYPE);
  }
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(isText ? body : JSON.stringify(body));
}

async function* encoded(pieces: Iterable<string>): AsyncGenerator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function stream(response: ServerResponse, body: AsyncIterable<Buffer>, clientSignal: AbortSignal): Promise<void> {
  const isClosed = () => clientSignal.aborted || response.destroyed;
  response.flushHeaders();
  try {
    for await (const chunk of body) {
      if (!isClosed() && !response.write(chunk)) await drained(response, clientSignal);
      if (isClosed()) return; // leaving the loop destroys the body
    }
  } catch (error) {
    if (isClosed()) return; // the disconnect ended the body's source
    throw error;
  }
  response.end();
}

/** Resolves when the client has read what was written, or has disconnected; disconnects a client that reads nothing for too long. */
function drained(response: ServerResponse, clientSignal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(stallTimer);
      response.off("drain", done).off("close", done);
      clientSignal.removeEventListener("abort", done);
      resolve();
    };
    const stallTimer = setTimeout(() => {
      response.destroy();
      done();
    }, STALL_TIMEOUT_MS);
    // A pipelined response emits no "close" while it waits behind another.
    clientSignal.addEventListener("abort", done);
    response.on("drain", done).on("close", done);
    if (clientSignal.aborted || response.destroyed) done();
  });
}
