import type { RawAnswer } from "../docker/raw-engine";
import type { Reply } from "../support/reply";
import type { DockerCall } from "./call";

/** Sends a response that was read whole. */
export function sendAnswer({ response }: DockerCall, { status, headers, body }: RawAnswer): void {
  response.statusCode = status;
  for (const name of ["content-type", "x-error-code"]) {
    const value = headers[name];
    if (typeof value === "string") response.setHeader(name, value);
  }
  if (status !== 204 && status !== 304) response.setHeader("Content-Length", body.length);
  response.end(body);
}

export const jsonBody = (json: unknown): Buffer => Buffer.from(`${JSON.stringify(json)}\n`);

export function sendJson(call: DockerCall, status: number, json: unknown, headers: Record<string, string> = {}): void {
  sendJsonBody(call, status, jsonBody(json), headers);
}

/** Sends JSON that was serialised before. */
export function sendJsonBody({ response }: DockerCall, status: number, body: Buffer, headers: Record<string, string>): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", body.length);
  response.end(body);
}

/** Sends what the dispatcher has answered, from this node or from another. */
export function sendReply({ response }: DockerCall, { status, body, headers }: Reply): void {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body ?? ""));
  response.statusCode = status;
  for (const name of ["content-type", "x-cluster-nodes", "x-error-code", "x-error-message"])
    if (headers[name] !== undefined) response.setHeader(name, headers[name]);
  response.setHeader("Content-Length", bytes.length);
  response.end(bytes);
}
