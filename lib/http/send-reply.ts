import type { ServerResponse } from "node:http";
import { type Body, type Reply, Upgraded } from "../support/reply";
import { upgradable } from "./route-upgrades";

/** A client that takes nothing in for so long (ms) while there is something to take is cut off. */
const STALL = 60_000;
/** An answer up to this size (bytes) is the kernel's at once; only larger ones can stall. */
const SMALL = 65_536;

/**
 * Writes a handler's answer.
 * @param response where to
 * @param gone aborted when the client has gone
 */
export async function sendReply(response: ServerResponse, reply: Reply, gone: () => AbortSignal): Promise<void> {
  const { status, body, headers } = reply;
  response.statusCode = status;
  if (reply instanceof Upgraded) {
    const connection = upgradable(response.req);
    if (!connection) throw new Error("an upgrade that nobody has offered");
    return reply.take(connection);
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body === null) return void response.end();
  if (isStream(body)) return stream(response, body, gone());
  const bytes = toBytes(response, body);
  response.setHeader("Content-Length", bytes.length);
  if (bytes.length > SMALL) response.setTimeout(STALL, () => response.destroy());
  response.end(bytes);
}

function isStream(body: Body): body is AsyncIterable<Buffer> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

function toBytes(response: ServerResponse, body: object | string): Buffer {
  const isText = typeof body === "string";
  if (!response.hasHeader("Content-Type")) {
    response.setHeader("Content-Type", isText ? "text/plain; charset=utf-8" : "application/json; charset=utf-8");
  }
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(isText ? body : JSON.stringify(body));
}

async function stream(response: ServerResponse, body: AsyncIterable<Buffer>, gone: AbortSignal): Promise<void> {
  const isOver = () => gone.aborted || response.destroyed;
  response.flushHeaders();
  try {
    for await (const chunk of body) {
      if (!isOver() && !response.write(chunk)) await drained(response, gone);
      if (isOver()) return; // which ends the body too
    }
  } catch (error) {
    if (isOver()) return; // what it streams from ended because the client did
    throw error;
  }
  response.end();
}

/** Resolves when the client has taken in what was written, or has gone; cuts it off when it takes nothing for too long. */
function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(stalled);
      response.off("drain", done).off("close", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    const stalled = setTimeout(() => {
      response.destroy();
      done();
    }, STALL);
    // One that waits behind another on its connection emits no "close".
    gone.addEventListener("abort", done);
    response.on("drain", done).on("close", done);
    if (gone.aborted || response.destroyed) done();
  });
}
