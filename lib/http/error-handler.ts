import { STATUS_CODES } from "node:http";
import type { ErrorRequestHandler } from "express";
import { AppError, errorBody } from "../errors";
import type { Logger } from "../support/logger";
import { toHeaderText } from "../support/reply";
import { loggedMessage } from "./audit-fields";

interface HttpError {
  status?: number;
  type?: string;
  message?: string;
}

/**
 * Answers every error that a route or middleware throws: the client gets the message and the request id, the log gets the cause.
 * Requests that Node can't parse are answered by `answerClientErrors` (server/client-errors.ts).
 * Headers repeat code and message because a response to HEAD has no body.
 * @param options.traces whether the client gets the stack trace: for development
 */
export function errorHandler(log: Logger, options = { traces: false }): ErrorRequestHandler {
  return (thrown, _request, response, _next) => {
    const error = toAppError(thrown);
    const { request_id } = response.locals;
    const isOfParser = !(thrown instanceof AppError);
    response.locals.error = { error: error.kind, code: error.clientCode, ...loggedMessage(error.message, isOfParser) };
    if (error.code === "REFUSED_BY_TOKEN") response.locals.refusedBy = `refused by ${error.details.caveat}`;
    if (error.code === "STOPPING") log.info("Request refused: the server stops", { request_id });
    else if (error.code === "ABANDONED") log.info("Request abandoned by its client", { request_id });
    else if (error.status >= 500)
      log.error("Request failed", { request_id, code: error.clientCode, reason: error.message, cause: causeOf(thrown) });
    if (response.headersSent || response.destroyed) {
      // Part of the response is sent: only a broken connection can tell the client that it is incomplete.
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
  // Express and its body parsers give errors of the client a 4xx status.
  if (error.status !== undefined && error.status >= 400 && error.status < 500) {
    return new AppError("INVALID_BODY", { message: error.message || (STATUS_CODES[error.status] ?? "Bad request") });
  }
  return new AppError("INTERNAL", { cause: thrown });
}

function causeOf(thrown: unknown): string {
  const cause = thrown instanceof AppError ? (thrown.cause ?? thrown.message) : thrown;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
