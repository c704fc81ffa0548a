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

export function sendJson({ response }: DockerCall, status: number, json: unknown, headers: Record<string, string> = {}): void {
  const body = Buffer.from(`${JSON.stringify(json)}\n`);
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", body.length);
  response.end(body);
}
