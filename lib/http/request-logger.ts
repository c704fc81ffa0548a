import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import type { Logs } from "../support/logger";

/** Ids that a client or a load balancer may give: nothing that could forge a line of a log. */
const GIVEN_ID = /^[\w.:-]{1,128}$/;

/** Called with each answered request: method, route (as declared), status and seconds. */
export type Count = (method: string, route: string, status: number, seconds: number) => void;

/**
 * Gives every request its id, and when it is over its line in actions.jsonl and its place in the metrics.
 * @param audit writes the line: never a body, a header or a query, which may hold secrets
 */
export function requestLogger(audit: Logs["audit"], count: Count): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const given = request.get("x-request-id") ?? "";
    const request_id = GIVEN_ID.test(given) ? given : randomUUID();
    response.locals.request_id = request_id;
    // Another node that it is sent on to calls it the same.
    request.headers["x-request-id"] = request_id;
    response.setHeader("X-Request-Id", request_id);
    response.once("close", () => {
      const duration_ms = Math.round((performance.now() - startedAt) * 100) / 100;
      const { identity, error, route } = response.locals;
      audit({
        timestamp: new Date().toISOString(),
        request_id,
        method: request.method,
        path: request.path,
        status: response.statusCode,
        duration_ms,
        user: identity ?? null,
        address: request.ip,
        ...error,
        // An upgraded connection is over when it is closed.
        ...(response.writableFinished || response.statusCode === 101 ? {} : { aborted: true }),
      });
      count(request.method, route ?? "none", response.statusCode, duration_ms / 1000);
    });
    next();
  };
}
