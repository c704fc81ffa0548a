import { randomUUID } from "node:crypto";
import { type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { AppError, errorBody } from "../errors";

/** Answers what never becomes a request, because it can't be read as one or comes too slowly, as any other error. */
export function answerClientErrors(server: Server): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  server.on("request", ({ socket }, response) => {
    answering.set(socket, response);
    response.once("close", () => answering.delete(socket));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // In the middle of another answer nothing more can be said.
    if (socket.writable && !answering.get(socket)?.headersSent) socket.write(rawErrorResponse(toAppError(error.code)));
    socket.destroy();
  });
}

function toAppError(code: string | undefined): AppError {
  if (code === "HPE_HEADER_OVERFLOW") return new AppError("HEADERS_TOO_LARGE");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new AppError("REQUEST_TIMEOUT");
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
