import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import type { Logs } from "../support/logger";
import { RequestTrace, withTrace } from "../support/measure";
import { plainAddress } from "../support/plain-address";
import { inProcessOrigin } from "./in-process";

/** A request id of a client or a load balancer is accepted only in this form, so that it can't forge log lines. */
const ACCEPTED_REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Counts a finished request in the metrics; `route` is the path as declared. */
export type CountRequest = (method: string, route: string, status: number, seconds: number) => void;

/**
 * Makes the middleware that gives every request an id, and records it in the audit log and the metrics when it is finished.
 * @param audit writes a line of the audit log; bodies, headers and queries are never logged, as they may hold secrets
 */
export function requestLogger(audit: Logs["audit"], count: CountRequest): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const receivedId = request.get("x-request-id") ?? "";
    const request_id = ACCEPTED_REQUEST_ID.test(receivedId) ? receivedId : randomUUID();
    response.locals.request_id = request_id;
    const address = plainAddress(request.ip);
    response.locals.address = address;
    const trace = new RequestTrace();
    response.locals.trace = trace;
    // Forwarded with the request, so that other nodes use the same id.
    request.headers["x-request-id"] = request_id;
    response.setHeader("X-Request-Id", request_id);
    response.once("close", () => {
      const duration_ms = Math.round((performance.now() - startedAt) * 100) / 100;
      const tool = inProcessOrigin(request)?.tool;
      const { identity, access, error, refusedBy, route, outcome } = response.locals;
      audit({
        timestamp: new Date().toISOString(),
        request_id,
        method: request.method,
        path: request.path,
        status: response.statusCode,
        duration_ms,
        user: identity ?? null,
        ...(access?.claim ? { token: access.claim.id, caveats: access.caveats, decision: refusedBy ?? "allowed" } : {}),
        address,
        ...(tool === undefined ? {} : { tool }),
        ...outcome,
        ...error,
        ...trace.timings(),
        // An upgraded connection has no end other than its close.
        ...(response.writableFinished || response.statusCode === 101 ? {} : { aborted: true }),
      });
      count(request.method, route ?? "none", response.statusCode, duration_ms / 1000);
    });
    withTrace(trace, next);
  };
}
