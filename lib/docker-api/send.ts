import type { RawAnswer } from "../docker/raw-engine";
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
