import type { Response } from "express";
import type { RawAnswer } from "../docker/raw-engine";
import { AppError } from "../errors";
import type { Logger } from "../support/logger";
import { toHeaderText } from "../support/reply";

/** The CLI can be told to send a header by its configuration alone, and its builder doesn't send it. */
const CREDENTIALS_HINT =
  "; the docker CLI sends the HttpHeaders of its config.json, but not for builds by BuildKit, which need DOCKER_BUILDKIT=0 here";

/** Clients with BuildKit begin a build by making a container of it, which is privileged. */
const BUILDKIT_HINT = "; to build without a BuildKit of its own, set DOCKER_BUILDKIT=0";

/** Answers an error in the form of the Engine API. The header with the code tells other nodes that this server itself answers. */
export function answerDockerError(response: Response, thrown: unknown, log: Logger): void {
  const error = thrown instanceof AppError ? thrown : new AppError("INTERNAL", { cause: thrown });
  const { request_id } = response.locals;
  response.locals.error = { error: error.kind, code: error.clientCode };
  if (error.code === "REFUSED_BY_TOKEN") response.locals.refusedBy = `refused by ${error.details.caveat}`;
  if (error.status >= 500) {
    const cause = error.cause ?? error.message;
    const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    log.error("Request failed", { request_id, code: error.clientCode, reason: error.message, cause: stack });
  }
  if (response.headersSent || response.destroyed) {
    // Part of the response is sent: only a broken connection can tell the client that it is incomplete.
    response.destroy();
    return;
  }
  const message = `${error.message}${hintFor(error, response.req.url)}`;
  const body = `${JSON.stringify({ message })}\n`;
  response.statusCode = statusOf(error);
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.setHeader("X-Error-Code", error.clientCode);
  response.setHeader("X-Error-Message", toHeaderText(message));
  response.end(response.req.method === "HEAD" ? undefined : body);
}

function hintFor({ code }: AppError, url: string): string {
  if (code === "MISSING_CREDENTIALS") return CREDENTIALS_HINT;
  return code === "NOT_ALLOWED" && /[?&]name=buildx_buildkit_/.test(url) ? BUILDKIT_HINT : "";
}

/** An error of this node as the answer that another node would get. */
export function toRawAnswer(error: AppError): RawAnswer {
  const body = Buffer.from(`${JSON.stringify({ message: error.message })}\n`);
  return { status: statusOf(error), headers: { "content-type": "application/json", "x-error-code": error.clientCode }, body };
}

// Clients of the Engine API tell errors by status.
function statusOf(error: AppError): number {
  if (error.code === "AMBIGUOUS_ID") return 400;
  if (error.code === "NODE_FAILED") return 503;
  // A create that is answered 404 makes the docker CLI pull the image.
  if (error.code === "NODE_NOT_FOUND") return 400;
  if (error.code === "METHOD_NOT_ALLOWED") return 404;
  if (typeof error.details.docker_status === "number") return error.details.docker_status;
  return error.status;
}

/** An error with a status and a text that clients of the Engine API know. */
export function engineError(docker_status: number, message: string): AppError {
  const codes = {
    400: "INVALID_INPUT",
    403: "NOT_ALLOWED",
    404: "CONTAINER_NOT_FOUND",
    409: "NAME_TAKEN",
    501: "ROUTE_NOT_FOUND",
    503: "NODES_MISSING",
  } as const;
  return new AppError(codes[docker_status as keyof typeof codes] ?? "ENGINE_ERROR", { message, details: { docker_status } });
}
