import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { AppError, errorBody } from "../errors";

/** The slowest upload that is not cut off: 100 kB a second. */
const MIN_BYTES_PER_MS = 100;
const SLOW_REQUEST_CHECK_INTERVAL_MS = 1000;

/** Answers requests that Node can't parse, or that arrive too slowly, with the same error body as all others. */
export function answerClientErrors(server: Server): void {
  const responses = new WeakMap<Duplex, ServerResponse>();
  server.on("request", ({ socket }, response) => {
    responses.set(socket, response);
    response.once("close", () => responses.delete(socket));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Once a head is sent, an error response would be read as its body.
    if (socket.writable && !responses.get(socket)?.headersSent) socket.write(rawErrorResponse(toAppError(error.code)));
    socket.destroy();
  });
}

/**
 * Ends requests whose body arrives too slowly, with the event of Node's own `requestTimeout`. That option is one limit for all
 * requests, whether they are of 100 bytes or of 1 GB.
 * @param timeoutMs limit of every request, plus the time that the received bytes take at the minimum rate
 * @param isExempt whether a request may take any time
 */
export function timeOutSlowRequests(server: Server, timeoutMs: number, isExempt: (request: IncomingMessage) => boolean): void {
  server.on("request", (request: IncomingMessage) => {
    const { socket, headers } = request;
    if (headers["transfer-encoding"] === undefined && !Number(headers["content-length"])) return;
    if (isExempt(request)) return;
    const startedAt = performance.now();
    const bytesBefore = socket.bytesRead;
    const timer = setInterval(() => {
      if (request.complete || socket.destroyed) return clearInterval(timer);
      if (performance.now() - startedAt < timeoutMs + (socket.bytesRead - bytesBefore) / MIN_BYTES_PER_MS) return;
      clearInterval(timer);
      server.emit("clientError", Object.assign(new Error("The request came too slowly"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket);
    }, SLOW_REQUEST_CHECK_INTERVAL_MS);
    timer.unref();
  });
}

function toAppError(nodeCode: string | undefined): AppError {
  if (nodeCode === "HPE_HEADER_OVERFLOW") return new AppError("HEADERS_TOO_LARGE");
  if (nodeCode === "ERR_HTTP_REQUEST_TIMEOUT") return new AppError("REQUEST_TIMEOUT");
  return new AppError("NOT_HTTP");
}

function rawErrorResponse(error: AppError): string {
  const request_id = randomUUID();
  const body = JSON.stringify(errorBody(error, request_id));
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    "Connection: close",
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Error-Code: ${error.clientCode}`,
    `X-Request-Id: ${request_id}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
