import { STATUS_CODES } from "node:http";
import type { ErrorRequestHandler } from "express";
import { AppError, errorBody } from "../errors";
import type { Logger } from "../support/logger";
import { toHeaderText } from "../support/reply";

interface HttpError {
  status?: number;
  type?: string;
  message?: string;
}

/**
 * The one writer of errors: the client gets the message and the request id, the log gets the cause.
 * On HEAD, which has no body, the code and the message go into headers.
 * @param options.traces the client gets the stack trace too: for development
 */
export function errorHandler(log: Logger, options = { traces: false }): ErrorRequestHandler {
  return (thrown, _request, response, _next) => {
    const error = toAppError(thrown);
    const { request_id } = response.locals;
    response.locals.error = { error: error.kind, code: error.clientCode };
    if (error.status >= 500) log.error(error.message, { request_id, code: error.clientCode, cause: causeOf(thrown) });
    if (response.headersSent || response.destroyed) {
      // Half an answer is out: breaking the connection is the only way left to say that it isn't whole.
      response.destroy();
      return;
    }
    const { clientCode, message, status } = error;
    response.set({ "X-Error-Code": clientCode, "X-Error-Message": toHeaderText(message) });
    if (status === 429 || status === 503) response.get("Retry-After") ?? response.set("Retry-After", "1");
    const stacktrace = options.traces ? { stacktrace: (thrown as Partial<Error>)?.stack ?? "" } : {};
    response.status(status).json({ ...errorBody(error, request_id), ...stacktrace });
  };
}

function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const error = (thrown ?? {}) as HttpError;
  if (error.type === "entity.too.large") return new AppError("BODY_TOO_LARGE");
  // Express and its body parsers mark what the client did wrong with a status of 4xx.
  if (error.status !== undefined && error.status >= 400 && error.status < 500) {
    return new AppError("INVALID_BODY", { message: error.message || (STATUS_CODES[error.status] ?? "Bad request") });
  }
  return new AppError("INTERNAL", { cause: thrown });
}

function causeOf(thrown: unknown): string {
  const cause = thrown instanceof AppError ? (thrown.cause ?? thrown.message) : thrown;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
